using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using Siglip.Core;
using Siglip.MLNet.Internals;
using static TorchSharp.torch;

namespace Siglip.MLNet;

/// <summary>The <see cref="IEstimator{TTransformer}"/> that trains the vision model of a SigLIP or SigLIP 2 checkpoint to tell classes of images apart.</summary>
/// <remarks>
/// <format type="text/markdown"><![CDATA[
/// To create this trainer, use
/// [SiglipImageClassification](xref:Microsoft.ML.SiglipCatalog.SiglipImageClassification(Microsoft.ML.MulticlassClassificationCatalog.MulticlassClassificationTrainers,System.String,System.String,Siglip.MLNet.SiglipImageClassificationOptions)).
///
/// ### Input and Output Columns
/// The input label column data must be [key](xref:Microsoft.ML.Data.KeyDataViewType) type; the image column is <xref:Microsoft.ML.Data.MLImage>, a vector of
/// <xref:System.Byte> (the content of an image file), or [Text](<xref:Microsoft.ML.Data.TextDataViewType>) (the path of one).
///
/// | Output Column Name | Column Type | Description|
/// | -- | -- | -- |
/// | `PredictedLabel` | [key](xref:Microsoft.ML.Data.KeyDataViewType) type | The class of the highest score, with the values of the label's keys. |
/// | `Score` | Known-sized vector of <xref:System.Single> | The probability of each class. Its slots have the names of the classes. |
///
/// ### Trainer Characteristics
/// |  |  |
/// | -- | -- |
/// | Machine learning task | Multiclass classification |
/// | Is normalization required? | No |
/// | Is caching required? | No |
/// | Required NuGet in addition to Microsoft.ML | Siglip.MLNet, and one of TorchSharp-cpu, TorchSharp-cuda-linux, TorchSharp-cuda-windows |
/// | Exportable to ONNX | No |
///
/// ### Training
/// The rows are read once. Images are decoded when the training wants them, and kept as far as 1 GiB goes, so an image column of paths or bytes needs
/// little memory; an MLImage is kept as pixels. Rows without a label (key 0) are left out.
///
/// The same data, options and machine give the same model: <xref:Siglip.Core.SiglipTrainingOptions.Seed> decides what is random, and the seed of the MLContext does not.
///
/// A classifier on the embeddings of a model that stays as it is learns in seconds, and is often as good where images are few:
/// [a classifier](~/docs/ml-net/classifier.md).
///
/// ### Lifetime
/// The fitted transformer holds the weights in native memory: dispose it, or the chain that it is part of.
/// ]]>
/// </format>
/// </remarks>
/// <seealso cref="SiglipCatalog.SiglipImageClassification(MulticlassClassificationCatalog.MulticlassClassificationTrainers, string, string, SiglipImageClassificationOptions?)"/>
/// <seealso cref="SiglipImageClassificationOptions"/>
public sealed class SiglipImageClassificationTrainer : IEstimator<SiglipImageClassificationTransformer>
{
    private static readonly Lock Initializing = new(); // torch has one generator of random numbers

    private readonly IHost _host;
    private readonly string _labelColumnName;
    private readonly SiglipImageClassificationOptions _options;
    private readonly FeaturizerSettings _settings; // its one column is that of the scores, of the kind of embedding that is classified
    private readonly string _device;

    /// <param name="environment">The context's environment.</param>
    /// <param name="labelColumnName">The column of the classes.</param>
    /// <param name="imageColumnName">The column of the images.</param>
    /// <param name="options">How to train.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or the model cannot be trained, or not so.</exception>
    /// <exception cref="FileNotFoundException">The checkpoint is missing.</exception>
    /// <exception cref="InvalidDataException">The checkpoint is damaged.</exception>
    /// <exception cref="InvalidOperationException">There is no such GPU, and the CPU is not allowed instead.</exception>
    internal SiglipImageClassificationTrainer(
        IHostEnvironment environment, string labelColumnName, string imageColumnName, SiglipImageClassificationOptions options)
    {
        ArgumentException.ThrowIfNullOrEmpty(labelColumnName);
        ArgumentException.ThrowIfNullOrEmpty(imageColumnName);
        Check(options);
        _host = environment.Register(nameof(SiglipImageClassificationTrainer));
        (_labelColumnName, _options) = (labelColumnName, options);
        bool isPooled = options.Training.ClassifierInput == SiglipClassifierInput.Pooled;
        var settings = new FeaturizerSettings
        {
            InputColumnName = imageColumnName,
            Columns = [new(options.ScoreColumnName, isPooled ? SiglipOutputKind.PooledEmbedding : SiglipOutputKind.MeanPatchEmbedding)],
            Model = options.Config is null ? options.Model : "new",
            ImageFolder = string.IsNullOrEmpty(options.ImageFolder) ? null : options.ImageFolder,
            BatchSize = options.BatchSize,
            BadImages = options.BadImages,
            ApplyExifOrientation = options.ApplyExifOrientation,
        };
        settings.Validate();
        var device = ComputeDevice.From(options, environment);
        _settings = settings with { Model = CheckModel(settings) };
        _device = device.Resolve(_host);
    }

    /// <summary>Trains a model.</summary>
    /// <param name="input">The images and their classes; read once.</param>
    /// <returns>A transformer that the caller disposes, or the chain that it becomes part of.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The label or the image column is missing or has a wrong type.</exception>
    /// <exception cref="ArgumentException">The validation set has other keys, two classes have the same name, the warm-up is as long as the training, or
    /// <see cref="SiglipTrainingOptions.StatePath"/> is of another training.</exception>
    /// <exception cref="InvalidDataException">An image is damaged or none, and bad images are not left out; or <see cref="SiglipTrainingOptions.StatePath"/> is
    /// damaged.</exception>
    /// <exception cref="IOException">An image file or <see cref="SiglipTrainingOptions.StatePath"/> cannot be read or written, or the temporary folder has no room for
    /// the trained model.</exception>
    /// <exception cref="InvalidOperationException">No row has a label, or the training diverged.</exception>
    /// <exception cref="OperationCanceledException">The context is cancelled, or the options' token.</exception>
    public SiglipImageClassificationTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        DataViewImages.Check(input.Schema, _labelColumnName, _settings.InputColumnName);
        if (_options.ValidationSet is { } set)
            DataViewImages.Check(set.Schema, _labelColumnName, _settings.InputColumnName);
        using var log = new TrainingLog(_host, _options.Progress);
        DataViewImages images = Read(input, "training data", log);
        (ILabeledImages training, ILabeledImages? validation) = WithValidation(images, log);
        (SiglipForImageClassification model, SiglipImageProcessorConfig processorConfig) = CreateModel(images.Labels);
        using SiglipForImageClassification owned = model;
        using (var trainer = new SiglipTrainer(model, processorConfig, _options.Training with { Device = _device }))
        {
            log.Begin(_settings.Model, model.parameters().Sum(parameter => parameter.numel()), training, validation, _device);
            trainer.Train(training, validation, log, _options.CancellationToken);
            log.End();
        }

        return ToTransformer(model, processorConfig, images.LabelValues);
    }

    /// <summary>The columns that the transformer will give for an input.</summary>
    /// <param name="inputSchema">The input's columns.</param>
    /// <exception cref="ArgumentOutOfRangeException">The label or the image column is missing or has a wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        SchemaShape.Column label = Find(inputSchema, _labelColumnName);
        if (label.Kind != SchemaShape.Column.VectorKind.Scalar || !label.IsKey)
            throw Environments.SchemaMismatch(nameof(inputSchema), label.Name, DataViewImages.ExpectedLabel, Environments.TypeOf(label));
        SchemaShape.Column image = Find(inputSchema, _settings.InputColumnName);
        if (!FeaturizedSchema.IsImageColumn(image))
            throw Environments.SchemaMismatch(nameof(inputSchema), image.Name, FeaturizedSchema.ExpectedTypes, Environments.TypeOf(image));

        var columns = new OrderedDictionary<string, SchemaShape.Column>();
        foreach (SchemaShape.Column column in inputSchema.Concat(Scores.Shapes(_options.PredictedLabelColumnName, _options.ScoreColumnName, label)))
            columns[column.Name] = column;
        return new SchemaShape(columns.Values);
    }

    private static SchemaShape.Column Find(SchemaShape schema, string name) =>
        schema.FirstOrDefault(column => column.Name == name) is { Name: not null } found ? found : throw Environments.MissingColumn(nameof(schema), name);

    private static void Check(SiglipImageClassificationOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(options.Training);
        options.Training.Validate();
        if (options.Training.Device != "cpu")
            throw new ArgumentException($"Training.Device is '{options.Training.Device}'. Leave it out, and choose the device with GpuDeviceId or MLContext.GpuDeviceId.");
        if (string.IsNullOrEmpty(options.PredictedLabelColumnName))
            throw new ArgumentException("PredictedLabelColumnName is empty, expected the name of a column.");
        if (options.PredictedLabelColumnName == options.ScoreColumnName)
            throw new ArgumentException($"PredictedLabelColumnName and ScoreColumnName are both '{options.ScoreColumnName}', expected two names.");
        if (options.ValidationSetFraction is { } share && !(share is > 0 and < 1))
            throw new ArgumentOutOfRangeException($"ValidationSetFraction is {share}, expected a number above 0 and below 1, or null.", innerException: null);
        if (options is { ValidationSetFraction: not null, ValidationSet: not null })
            throw new ArgumentException("ValidationSet and ValidationSetFraction are both set; set one of the two.");
        if (options is { Training.EarlyStoppingPatience: not null, ValidationSet: null, ValidationSetFraction: null })
            throw new ArgumentException("Training.EarlyStoppingPatience needs images to measure with: set ValidationSet or ValidationSetFraction, too.");
        if (options is { ImageSize: not null, Config: not null })
            throw new ArgumentException("ImageSize and Config are both set; set the ImageSize of Config.");
        if (options is { MimeticInitialization: true, Config: null })
            throw new ArgumentException("MimeticInitialization is for a new model, and Config is not set; set it, too.");
    }

    // Before anything is read: that the model can be trained, and used afterwards. Returns the name by which this one is found again.
    private string CheckModel(FeaturizerSettings settings)
    {
        if (_options.Config is { } config)
        {
            config.Validate();
            CheckModel(settings, config, ProcessorOf(config), "Config");
            return settings.Model;
        }

        using SiglipCheckpoint checkpoint = CheckpointLoading.Open(_host, settings.Model, _options.Revision, _options.Offline);
        (SiglipVisionConfigBase vision, SiglipImageProcessorConfigBase processorConfig) = (checkpoint.Config, checkpoint.ProcessorConfig);
        if (_options.ImageSize is { } size && (vision, processorConfig) is (SiglipVisionConfig fixedSize, SiglipImageProcessorConfig processor))
            (vision, processorConfig) = (fixedSize with { ImageSize = size }, processor with { Height = size, Width = size });
        vision.Validate();
        CheckModel(settings, vision, processorConfig, checkpoint.Source);
        return checkpoint.Snapshot?.PinnedName ?? settings.Model;
    }

    private void CheckModel(FeaturizerSettings settings, SiglipVisionConfigBase config, SiglipImageProcessorConfigBase processorConfig, string source)
    {
        if (config is not SiglipVisionConfig fixedSize)
            throw new ArgumentException($"'{source}' has variable resolution (NaFlex), which cannot be fine-tuned; train a classifier on its embeddings instead: "
                + "SiglipFeaturizeImage, then a trainer such as LbfgsMaximumEntropy.");
        CheckpointLoading.Check(settings, config, processorConfig, source);
        TrainingStep.CheckFit(fixedSize, _options.Training);
    }

    private static SiglipImageProcessorConfig ProcessorOf(SiglipVisionConfig config) => new() { Height = config.ImageSize, Width = config.ImageSize };

    private DataViewImages Read(IDataView data, string what, TrainingLog log)
    {
        _host.CheckAlive();
        var images = DataViewImages.Read(
            data, _labelColumnName, _settings.InputColumnName, _settings.ImageFolder, _settings.ApplyExifOrientation, cancellationToken: _options.CancellationToken);
        if (images.Count == 0)
            throw new InvalidOperationException($"The {what} have no row with a label in column '{_labelColumnName}', expected at least one.");
        if (images.WithoutLabel > 0)
            log.Warn($"{images.WithoutLabel:N0} of {images.Count + images.WithoutLabel:N0} rows of the {what} have no label in column '{_labelColumnName}', and are left out.");
        return images;
    }

    private (ILabeledImages Training, ILabeledImages? Validation) WithValidation(DataViewImages images, TrainingLog log)
    {
        if (_options.ValidationSet is not null)
            return (images, ReadValidation(_options.ValidationSet, images, log));
        if (_options.ValidationSetFraction is not { } share)
            return (images, null);
        (LabeledImagesPart kept, LabeledImagesPart heldOut) = LabeledImagesPart.Split(images, share, _options.Training.Seed);
        return heldOut.Count > 0 ? (kept, heldOut) : throw new InvalidOperationException(
            "No image can be held out to measure with: each class has one only. Add images, or leave ValidationSetFraction out.");
    }

    private DataViewImages ReadValidation(IDataView data, DataViewImages training, TrainingLog log)
    {
        DataViewImages validation = Read(data, "validation data", log);
        return validation.Labels.SequenceEqual(training.Labels) ? validation : throw new ArgumentException(
            $"The keys in column '{_labelColumnName}' stand for {Listed(validation.Labels)} in ValidationSet, and for {Listed(training.Labels)} in the training data, expected "
            + "the same. Give both to Transform of one fitted MapValueToKey, or set ValidationSetFraction in place of ValidationSet.");

        static string Listed(IReadOnlyList<string> labels)
        {
            const int Shown = 5;
            return string.Join(", ", labels.Take(Shown).Select(label => $"'{label}'")) + (labels.Count > Shown ? $" and {labels.Count - Shown:N0} more" : "");
        }
    }

    private (SiglipForImageClassification Model, SiglipImageProcessorConfig ProcessorConfig) CreateModel(IReadOnlyList<string> labels)
    {
        TorchNative.Ensure();
        lock (Initializing)
        {
            manual_seed(_options.Training.Seed);
            if (_options.Config is { } config)
            {
                var model = new SiglipForImageClassification(config, labels);
                if (_options.MimeticInitialization)
                    model.InitializeMimetic();
                return (model, ProcessorOf(config));
            }

            using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(_settings.Model, offline: _options.Offline);
            int size = _options.ImageSize ?? ((SiglipVisionConfig)checkpoint.Config).ImageSize;
            bool hasClassifier = checkpoint.Labels?.SequenceEqual(labels) ?? false;
            SiglipForImageClassification loaded = hasClassifier ? checkpoint.LoadForImageClassification(size) : checkpoint.LoadForImageClassification(labels, size);
            return (loaded, loaded.ProcessorConfig!);
        }
    }

    /// <summary>Loads the trained model as a saved one would be: the two give the same bits, and the context's embedding cache knows it by its weights.</summary>
    private SiglipImageClassificationTransformer ToTransformer(
        SiglipForImageClassification model, SiglipImageProcessorConfig processorConfig, LabelValues? labelValues)
    {
        Dictionary<string, Tensor> weights = model.state_dict();
        var classifier = LinearClassifier.From(weights);
        string path = Path.Combine(Environments.TempFolderOf(_host), $"siglip-{Guid.NewGuid():N}.safetensors");
        var stream = new FileStream(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1 << 16, FileOptions.DeleteOnClose);
        using (stream)
        {
            SafetensorsFile.Write(stream, weights.Where(entry => !entry.Key.StartsWith("classifier.", StringComparison.Ordinal)).Select(entry => (entry.Key, entry.Value)),
                metadata: null);
            stream.Position = 0;
            using SiglipCheckpoint checkpoint = SiglipCheckpoint.FromStreams(model.Config.ToJson(), processorConfig.ToJson(), stream, "the trained model");
            SiglipImageFeaturizingTransformer featurizer = CheckpointLoading.Load(
                _host, _settings, _device, checkpoint, weightsSha256: null, _options.CancellationToken);
            return new SiglipImageClassificationTransformer(featurizer, _options.PredictedLabelColumnName, classifier, labelValues);
        }
    }
}
