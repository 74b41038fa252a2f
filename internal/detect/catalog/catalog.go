// Package catalog is the written-out list of all detectors. Nothing registers
// itself; a test finds the detector that is missing here. It knows nothing of
// what they do.
package catalog

import (
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/detect/code"
	"github.com/weightwarden/weightwarden/internal/detect/compressed"
	"github.com/weightwarden/weightwarden/internal/detect/gguf"
	"github.com/weightwarden/weightwarden/internal/detect/hdf5"
	"github.com/weightwarden/weightwarden/internal/detect/keras"
	"github.com/weightwarden/weightwarden/internal/detect/native"
	"github.com/weightwarden/weightwarden/internal/detect/numpy"
	"github.com/weightwarden/weightwarden/internal/detect/onnx"
	"github.com/weightwarden/weightwarden/internal/detect/pickle"
	"github.com/weightwarden/weightwarden/internal/detect/rdata"
	"github.com/weightwarden/weightwarden/internal/detect/repository"
	"github.com/weightwarden/weightwarden/internal/detect/safetensors"
	"github.com/weightwarden/weightwarden/internal/detect/sevenzip"
	"github.com/weightwarden/weightwarden/internal/detect/skops"
	"github.com/weightwarden/weightwarden/internal/detect/tar"
	"github.com/weightwarden/weightwarden/internal/detect/template"
	"github.com/weightwarden/weightwarden/internal/detect/tensorflow"
	"github.com/weightwarden/weightwarden/internal/detect/tensorrt"
	"github.com/weightwarden/weightwarden/internal/detect/text"
	"github.com/weightwarden/weightwarden/internal/detect/torch"
	"github.com/weightwarden/weightwarden/internal/detect/xgboost"
	"github.com/weightwarden/weightwarden/internal/detect/xml"
	"github.com/weightwarden/weightwarden/internal/detect/zip"
)

// All returns every detector, in the order in which they are asked.
func All() []detect.Detector {
	return []detect.Detector{
		pickle.New(),
		zip.New(),
		tar.New(),
		compressed.New(),
		sevenzip.New(),
		rdata.New(),
		xgboost.New(),
		numpy.New(),
		torch.New(),
		code.New(),
		hdf5.New(),
		keras.New(),
		native.New(),
		repository.New(),
		skops.New(),
		template.New(),
		xml.New(),
		safetensors.New(),
		gguf.New(),
		onnx.New(),
		tensorflow.New(),
		tensorrt.New(),
		text.New(),
	}
}

// Infos describes every detector and the scanner itself.
func Infos() []detect.Info {
	infos := []detect.Info{detect.Scanner()}
	for _, d := range All() {
		infos = append(infos, d.Info())
	}
	return infos
}
