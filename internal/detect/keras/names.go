package keras

import "strings"

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// classes are the classes that Keras brings along and that hold no code of a
// model: layers, models, initializers, regularizers, constraints, optimizers,
// schedules, losses, metrics, policies, and what the serialization itself
// writes.
var classes = set(`
Sequential Functional Model
InputLayer Dense EinsumDense Embedding Masking Activation Identity Permute Reshape Flatten RepeatVector
LSTM LSTMCell GRU GRUCell SimpleRNN SimpleRNNCell RNN StackedRNNCells Bidirectional TimeDistributed Wrapper ConvLSTM1D ConvLSTM2D
ConvLSTM3D CuDNNLSTM CuDNNGRU SpectralNormalization
Conv1D Conv2D Conv3D Convolution1D Convolution2D Convolution3D SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D
DepthwiseConv1D DepthwiseConv2D Conv1DTranspose Conv2DTranspose Conv3DTranspose Convolution2DTranspose Deconvolution2D LocallyConnected1D
LocallyConnected2D Cropping1D Cropping2D Cropping3D UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
MaxPooling1D MaxPooling2D MaxPooling3D MaxPool1D MaxPool2D MaxPool3D AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D
AvgPool3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D GlobalAveragePooling1D
GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D
BatchNormalization LayerNormalization GroupNormalization UnitNormalization RMSNormalization SyncBatchNormalization BatchNormalizationV1
Dropout AlphaDropout GaussianDropout GaussianNoise SpatialDropout1D SpatialDropout2D SpatialDropout3D ActivityRegularization
Attention AdditiveAttention MultiHeadAttention GroupQueryAttention GroupedQueryAttention
Add Average Concatenate Dot Maximum Minimum Multiply Subtract
ReLU LeakyReLU PReLU ELU Softmax ThresholdedReLU
Rescaling Resizing CenterCrop Normalization CategoryEncoding Discretization Hashing HashedCrossing StringLookup IntegerLookup TextVectorization
RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom RandomBrightness RandomContrast RandomHeight RandomWidth RandomHue
RandomSaturation RandomGrayscale RandomSharpness RandomShear RandomPerspective RandomInvert RandomErasing RandomPosterization
RandomColorDegeneration RandomColorJitter RandomGaussianBlur RandomElasticTransform Solarization Equalization AutoContrast AugMix CutMix MixUp
RandAugment MaxNumBoundingBoxes MelSpectrogram STFTSpectrogram Pipeline FeatureSpace ReversibleEmbedding DenseFeatures
TensorFlowOpLayer SlicingOpLambda TFOpLambda ClassMethod
DTypePolicy FloatDTypePolicy QuantizedDTypePolicy QuantizedFloat8DTypePolicy GPTQDTypePolicy DTypePolicyMap Policy PolicyV1 KerasTensor
Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling Orthogonal OrthogonalInitializer IdentityInitializer
GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform STFT STFTInitializer SeedGenerator
L1 L2 L1L2 OrthogonalRegularizer MaxNorm MinMaxNorm NonNeg UnitNorm
SGD Adam AdamW Adamax Adadelta Adagrad Adafactor Ftrl Lion Lamb LossScaleOptimizer Muon Nadam RMSprop ScheduleFreeAdamW
CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay
BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy CategoricalFocalCrossentropy CategoricalHinge CosineSimilarity CTC Dice
Hinge Huber KLDivergence LogCosh MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson
SparseCategoricalCrossentropy SquaredHinge Tversky CategoricalGeneralizedCrossEntropy Circle LossFunctionWrapper
AUC Accuracy BinaryAccuracy BinaryIoU CategoricalAccuracy ConcordanceCorrelation F1Score FBetaScore FalseNegatives FalsePositives IoU
LogCoshError Mean MeanIoU MeanMetricWrapper MeanRelativeError OneHotIoU OneHotMeanIoU PearsonCorrelation Precision PrecisionAtRecall R2Score
Recall RecallAtPrecision RootMeanSquaredError SensitivityAtSpecificity SparseCategoricalAccuracy SparseTopKCategoricalAccuracy
SpecificityAtSensitivity Sum TopKCategoricalAccuracy TrueNegatives TruePositives CompileMetrics CompileLoss MetricsList
__tensor__ __numpy__ __keras_tensor__ __ellipsis__ __tuple__ __bytes__ __slice__ TensorShape CompositeTensor
`)

// functions are what Keras finds by name alone: activations, losses, metrics,
// initializers, regularizers and constraints.
var functions = set(`
relu relu6 leaky_relu elu selu celu gelu silu swish softplus softsign softmax log_softmax sigmoid log_sigmoid hard_sigmoid hard_silu hard_swish
hard_tanh hard_shrink soft_shrink squareplus sparse_plus sparse_sigmoid sparsemax tanh tanh_shrink threshold exponential linear mish glu
binary_crossentropy binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy categorical_hinge cosine_similarity
cosine_proximity ctc dice hinge huber kl_divergence kld kullback_leibler_divergence log_cosh logcosh mae mape mse msle mean_absolute_error
mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error poisson sparse_categorical_crossentropy squared_hinge tversky
categorical_generalized_cross_entropy circle bce acc accuracy binary_accuracy categorical_accuracy sparse_categorical_accuracy
top_k_categorical_accuracy sparse_top_k_categorical_accuracy
glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform zeros ones constant random_normal random_uniform truncated_normal
variance_scaling orthogonal identity l1 l2 l1_l2 max_norm min_max_norm non_neg unit_norm
`)

// functionModules are where functions of models come from. Whatever is in
// keras.ops computes on tensors.
var functionModules = set("activations losses metrics initializers regularizers constraints ops random")

// gadgets are the functions and classes inside Keras that reach files,
// connections or code.
var gadgets = set(`
get_file extract_archive load_model load_weights save_model save_weights load_img save_img array_to_img img_to_array load_data
image_dataset_from_directory text_dataset_from_directory audio_dataset_from_directory timeseries_dataset_from_array deserialize
deserialize_keras_object from_config model_from_json model_from_yaml register_keras_serializable custom_object_scope get_custom_objects
load_file_from_resource export pack_x_y_sample_weight plot_model model_to_dot set_backend import_module run_script download clone_model
load_data_from_url hash_file validate_file path_to_string File GFile ProgbarLogger CSVLogger RemoteMonitor LambdaCallback ModelCheckpoint
TensorBoard BackupAndRestore PyDataset Sequence SavedModel ExportArchive python_utils func_load func_dump
`)

// unsafeSwitch are the ways to switch the checks of loading off.
var unsafeSwitch = set("enable_unsafe_deserialization disable_safe_mode SafeModeScope in_safe_mode set_safe_mode unsafe_deserialization")

// libraries are those that have functions which run code, open files or
// connections. A model has no business with functions of theirs.
var libraries = set(`
numpy scipy torch tensorflow tensorflow_core jax flax pandas joblib sklearn sympy requests urllib3 aiohttp httpx yaml pip setuptools pkg_resources
cloudpickle dill IPython jupyter_client ipykernel pytest nose numba cffi paramiko fabric fsspec smart_open boto3 huggingface_hub transformers
diffusers datasets torchvision torchaudio onnx onnxruntime mlflow wandb ray dask pyarrow h5py tables PIL cv2 absl google six attr jinja2 flask django
werkzeug twisted tornado psutil distro py cython Cython pexpect sh plumbum invoke keras_preprocessing
`)

// inKeras cuts the root of a module of Keras off. ok is false for modules
// elsewhere.
func inKeras(module string) (rest string, ok bool) {
	for _, root := range []string{"tensorflow.python.keras", "tensorflow.keras", "tf_keras", "tf.keras", "keras", "tensorflow.compat.v1.keras"} {
		if module == root {
			return "", true
		}
		if rest, ok := strings.CutPrefix(module, root+"."); ok {
			for _, inner := range []string{"src.", "_tf_keras.keras.", "api.", "api._v2.keras.", "engine."} {
				rest = strings.TrimPrefix(rest, inner)
			}
			return rest, true
		}
	}
	return "", false
}
