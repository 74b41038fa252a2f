package artifact

import (
	"path"
	"strings"
)

// Format is what the content of a file is, judged by its bytes.
type Format string

// The formats that sniffing tells apart. Those in the last group are special
// forms of another format and are named beside it.
const (
	Unknown Format = "unknown"
	Empty   Format = "empty"

	Pickle        Format = "pickle"
	TorchLegacy   Format = "torch legacy"
	NumPy         Format = "numpy"
	Safetensors   Format = "safetensors"
	GGUF          Format = "gguf"
	GGML          Format = "ggml"
	HDF5          Format = "hdf5"
	ONNX          Format = "onnx"
	SavedModel    Format = "tensorflow savedmodel"
	GraphDef      Format = "tensorflow graphdef"
	TFLite        Format = "tflite"
	TensorRT      Format = "tensorrt plan"
	XGBoost       Format = "xgboost binary"
	ExternalData  Format = "external tensor data"
	TensorIndex   Format = "tensor index"
	RData         Format = "r serialization"
	MetaGraph     Format = "tensorflow metagraph"
	Checkpoint    Format = "tensorflow checkpoint index"
	KerasMetadata Format = "keras metadata"
	Fingerprint   Format = "tensorflow fingerprint"

	Zip      Format = "zip"
	Tar      Format = "tar"
	SevenZip Format = "7z"
	Rar      Format = "rar"
	Gzip     Format = "gzip"
	Bzip2    Format = "bzip2"
	XZ       Format = "xz"
	LZMA     Format = "lzma"
	LZ4      Format = "lz4"
	Zstd     Format = "zstd"
	Zlib     Format = "zlib"
	ZFile    Format = "joblib zfile"

	Native   Format = "native code"
	Bytecode Format = "python bytecode"
	Script   Format = "script"
	Python   Format = "python source"
	Notebook Format = "notebook"
	JSON     Format = "json"
	YAML     Format = "yaml"
	XML      Format = "xml"
	Template Format = "jinja template"
	Image    Format = "image"
	Text     Format = "text"

	Torch   Format = "torch"
	Keras   Format = "keras"
	NPZ     Format = "npz"
	Skops   Format = "skops"
	TorchPT Format = "torch pt2"
)

// extensions says which formats a name promises. Names that promise nothing
// are not in it: a loader decides by content what a ".bin" is.
var extensions = map[string][]Format{
	".safetensors": {Safetensors},
	".gguf":        {GGUF},
	".h5":          {HDF5},
	".hdf5":        {HDF5},
	".npy":         {NumPy},
	".npz":         {Zip},
	".rds":         {RData, Gzip, Bzip2, XZ},
	".rdata":       {RData, Gzip, Bzip2, XZ},
	".keras":       {Zip, HDF5},
	".zip":         {Zip},
	".pkl":         {Pickle, TorchLegacy, Zip, Gzip, Bzip2, XZ, LZMA, LZ4, Zlib, ZFile},
	".pickle":      {Pickle, TorchLegacy, Zip, Gzip, Bzip2, XZ, LZMA, LZ4, Zlib, ZFile},
	".joblib":      {Pickle, Gzip, Bzip2, XZ, LZMA, LZ4, Zlib, ZFile},
	".pt":          {Zip, TorchLegacy, Pickle, Tar},
	".pth":         {Zip, TorchLegacy, Pickle, Tar},
	".ckpt":        {Zip, TorchLegacy, Pickle, Tar},
	".onnx":        {ONNX},
	".tflite":      {TFLite},
	".tar":         {Tar},
	".json":        {JSON, Text, TensorIndex},
	".txt":         {Text, JSON},
	".md":          {Text},
	".yaml":        {YAML, Text},
	".yml":         {YAML, Text},
}

// Promised returns the formats that a file of this name should have, or nil
// when the name promises nothing.
func Promised(name string) []Format { return extensions[strings.ToLower(path.Ext(name))] }
