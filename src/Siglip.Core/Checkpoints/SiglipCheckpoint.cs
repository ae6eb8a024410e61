using System.Collections.Concurrent;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>
/// A trained model as transformers stores it: <c>config.json</c>, <c>preprocessor_config.json</c> and <c>model.safetensors</c>, or shards
/// with <c>model.safetensors.index.json</c>. The <c>processor_config.json</c> of transformers 5 takes the place of
/// <c>preprocessor_config.json</c>. Of a full SigLIP model the vision tower is used.
/// </summary>
/// <remarks>Opening it checks names, shapes and types of all tensors against the configuration; no tensor is read before a model is loaded.</remarks>
public sealed class SiglipCheckpoint : IDisposable
{
    /// <summary>The name of the small model that this library contains.</summary>
    public const string Nano = "nano";

    internal const string ConfigName = "config.json";
    internal const string PreprocessorName = "preprocessor_config.json";
    internal const string ProcessorName = "processor_config.json";
    private const string ClassifierPrefix = "classifier.";
    private const string ClassifierWeight = "classifier.weight";

    private readonly CheckpointWeights _weights;
    private readonly string _prefix; // of the vision tower's tensors in the file
    private readonly string _configSource; // what error messages call config.json
    private bool _disposed;

    private SiglipCheckpoint(string configJson, string preprocessorJson, CheckpointWeights weights, string source, string configSource, string preprocessorSource)
    {
        _weights = weights;
        (ConfigJson, Source) = (configJson, source);
        Config = SiglipVisionConfigBase.FromJson(configJson, configSource);
        ProcessorConfig = SiglipImageProcessorConfigBase.FromJson(preprocessorJson, preprocessorSource, Config);
        _prefix = Tensors.Keys.Any(name => name.StartsWith(ExpectedTensors.Prefix, StringComparison.Ordinal)) ? ExpectedTensors.Prefix : "";
        Faults = CompareVisionTensors();
        _configSource = configSource;
    }

    /// <summary>The sizes of the vision model: a <see cref="SiglipVisionConfig"/> if it has fixed resolution, a <see cref="Siglip2VisionConfig"/> if it has
    /// variable resolution (NaFlex).</summary>
    public SiglipVisionConfigBase Config { get; }

    /// <summary>How images become the model's pixel values: a <see cref="SiglipImageProcessorConfig"/>, or a
    /// <see cref="Siglip2ImageProcessorConfig"/> if the model has variable resolution.</summary>
    public SiglipImageProcessorConfigBase ProcessorConfig { get; }

    /// <summary>The classes' names in the order of the logits (<c>id2label</c>); null if the checkpoint has no classifier.</summary>
    /// <exception cref="InvalidDataException">The configuration does not name each class once. The vision model can be loaded all the same.</exception>
    public IReadOnlyList<string>? Labels =>
        field ??= Tensors.TryGetValue(ClassifierWeight, out SafetensorsEntry? classifier) ? CheckpointLabels.Read(ConfigJson, _configSource, classifier) : null;

    /// <summary>The full path of the folder; <c>org/name@commit</c> of a model of the Hugging Face hub; or <see cref="Nano"/>.</summary>
    public string Source { get; }

    /// <summary>The type in which the weights are stored: Float32, Float16 or BFloat16. Models compute in the precision in which they are loaded.</summary>
    public ScalarType StoredDtype => Tensors[_prefix + "embeddings.patch_embedding.weight"].Dtype;

    /// <summary>All tensors of the file or files, under their stored names.</summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Tensors => _weights.Tensors;

    internal string ConfigJson { get; }

    /// <summary>Where the files of a model of the Hugging Face hub are; null for others.</summary>
    internal HuggingFaceSnapshot? Snapshot { get; private init; }

    /// <summary>How the vision tower's tensors differ from those that the configuration asks for: not at all, unless <see cref="Inspect"/> opened it.</summary>
    internal TensorFaults Faults { get; }

    /// <summary>Tensors of other parts of the model, such as the text tower.</summary>
    internal IEnumerable<string> UnusedTensors => Tensors.Keys.Where(name => IsOfOtherParts(name) || name == PositionIds
        || (name.StartsWith(ClassifierPrefix, StringComparison.Ordinal) && !Tensors.ContainsKey(ClassifierWeight)));

    /// <summary>The files with the weights: names without a folder, and bytes.</summary>
    internal IEnumerable<(string Name, long Length)> WeightFiles => _weights.Files;

    private string PositionIds => _prefix + "embeddings.position_ids"; // a buffer of older versions: the numbers from 0

    /// <summary>Opens a checkpoint. One of the Hugging Face hub is fetched first, as far as it is not in the cache, which it shares with Python's
    /// huggingface_hub; <see cref="HuggingFaceHub"/> shows how far that is.</summary>
    /// <param name="model">A folder; a model of the hub by its id, such as <c>google/siglip2-base-patch16-224</c>, after which a revision may follow
    /// (<c>org/name@revision</c>); or <c>nano</c>: the small model that this library contains. A folder goes first; one of the name nano is opened as
    /// <c>./nano</c>.</param>
    /// <param name="revision">For a model of the hub: a branch, a tag or a commit. The default, null, means that in <paramref name="model"/>, or main.</param>
    /// <param name="offline">Whether a model of the hub is taken from the cache only. The default, false, means that the environment decides
    /// (<c>HF_HUB_OFFLINE</c>).</param>
    /// <exception cref="FileNotFoundException">There is no such folder or model, or it lacks a file.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the weights do not fit the configuration; the message lists what is wrong.</exception>
    /// <exception cref="ArgumentException">A revision is given, and the model is none of the hub, or has no such revision.</exception>
    /// <exception cref="UnauthorizedAccessException">The model is gated, and the user's token has no access.</exception>
    /// <exception cref="IOException">The hub cannot be reached, and the model is not in the cache; or the cache cannot be written to.</exception>
    public static SiglipCheckpoint Open(string model, string? revision = null, bool offline = false) => Inspect(model, revision, offline).Fitting();

    /// <summary>Opens a checkpoint even if the weights do not fit the configuration, to say what is wrong with it: see <see cref="Faults"/>. No model
    /// loads from it then.</summary>
    /// <inheritdoc cref="Open"/>
    internal static SiglipCheckpoint Inspect(string model, string? revision = null, bool offline = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(model);
        string folder = Path.GetFullPath(model);
        bool isLocal = CheckpointName.IsLocal(model);
        if (isLocal && revision is not null)
            throw new ArgumentException($"The revision '{revision}' is for models of the Hugging Face hub, and '{model}' is none; leave the revision out.", nameof(revision));
        if (model == Nano)
            return OpenNano();
        if (Directory.Exists(folder))
            return OpenFolder(Path.TrimEndingDirectorySeparator(folder));
        if (isLocal)
            throw new ArgumentException($"'{folder}' is a file; name the folder with {ConfigName}, {PreprocessorName} and "
                + $"{CheckpointWeights.FileName} instead.", nameof(model));
        if (CheckpointName.FindOnHub(model, revision) is { } hubModel)
        {
            var options = new HuggingFaceHubOptions();
            var hub = new HuggingFaceHub(options with { Offline = options.Offline || offline });
            HuggingFaceSnapshot snapshot = CheckpointName.Fetch(model, () => hub.Download(hubModel));
            return OpenFolder(snapshot.Folder, snapshot);
        }

        throw new FileNotFoundException($"The folder '{folder}' does not exist. Name a folder with {ConfigName}, {PreprocessorName} and {CheckpointWeights.FileName}, a "
            + $"model of the Hugging Face hub such as google/siglip2-base-patch16-224, or '{Nano}'.", folder);
    }

    /// <summary>Loads the vision model of a checkpoint with fixed resolution; a classifier is ignored.</summary>
    /// <param name="precision">The type of the parameters, in which the model computes.</param>
    /// <returns>A model on the CPU, in evaluation mode, which the caller owns.</returns>
    /// <exception cref="InvalidOperationException">The model has variable resolution: <see cref="LoadSiglip2VisionModel"/> loads it.</exception>
    /// <exception cref="ObjectDisposedException">The checkpoint is disposed.</exception>
    public SiglipVisionModel LoadVisionModel(SiglipPrecision precision = SiglipPrecision.Float32) => LoadFixedResolution(precision);

    /// <summary>Loads the vision model of a checkpoint with variable resolution (NaFlex); a classifier is ignored.</summary>
    /// <param name="precision">The type of the parameters, in which the model computes.</param>
    /// <returns>A model on the CPU, in evaluation mode, which the caller owns.</returns>
    /// <exception cref="InvalidOperationException">The model has fixed resolution: <see cref="LoadVisionModel"/> loads it.</exception>
    /// <exception cref="ObjectDisposedException">The checkpoint is disposed.</exception>
    public Siglip2VisionModel LoadSiglip2VisionModel(SiglipPrecision precision = SiglipPrecision.Float32) => LoadVariableResolution(precision);

    /// <summary>Loads the vision model with its classifier.</summary>
    /// <returns>A model on the CPU, in evaluation mode, which the caller owns.</returns>
    /// <exception cref="InvalidOperationException">The checkpoint has no classifier, or variable resolution.</exception>
    /// <exception cref="InvalidDataException">The classifier does not fit the configuration, or a label occurs twice.</exception>
    /// <exception cref="ObjectDisposedException">The checkpoint is disposed.</exception>
    public SiglipForImageClassification LoadForImageClassification() => LoadForImageClassification(SiglipPrecision.Float32);

    /// <summary>Loads the vision model with its classifier for images of another size, to be trained on them: the position embeddings are interpolated (bicubic)
    /// once, and what is saved is a plain checkpoint of that size.</summary>
    /// <param name="imageSize">Height and width of the images in pixels; at least one patch.</param>
    /// <exception cref="ArgumentException">The size is less than that of a patch, or too large.</exception>
    /// <inheritdoc cref="LoadForImageClassification()"/>
    public SiglipForImageClassification LoadForImageClassification(int imageSize) => LoadForImageClassification(SiglipPrecision.Float32, imageSize);

    /// <inheritdoc cref="LoadForImageClassification(int)"/>
    /// <param name="precision">The type of the parameters, in which the model computes.</param>
    /// <param name="imageSize">Null for that of the checkpoint.</param>
    /// <param name="inferenceOn">As in <see cref="LoadForInference"/>; null: the model is on the CPU, and for everything.</param>
    internal SiglipForImageClassification LoadForImageClassification(SiglipPrecision precision, int? imageSize = null, Device? inferenceOn = null)
    {
        (SiglipVisionConfig config, SiglipImageProcessorConfig processorConfig) = FixedResolution(imageSize);
        if (Labels is null)
            throw new InvalidOperationException($"'{Source}' has no classifier (no tensor classifier.weight). Load it as a "
                + "SiglipVisionModel, or train a classifier first.");

        CompareClassifierTensors().ThrowIfAny($"'{Source}'");
        if (Labels.CountBy(label => label).FirstOrDefault(pair => pair.Value > 1).Key is { } twice)
            throw new InvalidDataException($"'{Source}': id2label in {ConfigName} has the label '{twice}' twice; give each "
                + "class a name of its own.");

        return Load(() => new SiglipForImageClassification(config, Labels) { ProcessorConfig = processorConfig }, precision, inferenceOn: inferenceOn);
    }

    /// <summary>Loads the vision model with a new classifier for other classes, to be trained.</summary>
    /// <param name="labels">The classes' names; at least one, no two alike.</param>
    /// <returns>A model on the CPU, in evaluation mode, which the caller owns; the classifier's weights are drawn from torch's generator.</returns>
    /// <exception cref="ArgumentException">There is no label, or one of them twice.</exception>
    /// <exception cref="InvalidOperationException">The model has variable resolution.</exception>
    /// <exception cref="ObjectDisposedException">The checkpoint is disposed.</exception>
    public SiglipForImageClassification LoadForImageClassification(IReadOnlyList<string> labels) => LoadNewClassifier(labels, imageSize: null);

    /// <summary>Loads the vision model with a new classifier for other classes, for images of another size, to be trained: the position embeddings are interpolated
    /// (bicubic) once, and what is saved is a plain checkpoint of that size.</summary>
    /// <param name="labels">The classes' names; at least one, no two alike.</param>
    /// <param name="imageSize">Height and width of the images in pixels; at least one patch.</param>
    /// <returns>A model on the CPU, in evaluation mode, which the caller owns; the classifier's weights are drawn from torch's generator.</returns>
    /// <exception cref="ArgumentException">There is no label, or one of them twice; or the size is less than that of a patch, or too large.</exception>
    /// <exception cref="InvalidOperationException">The model has variable resolution.</exception>
    /// <exception cref="ObjectDisposedException">The checkpoint is disposed.</exception>
    public SiglipForImageClassification LoadForImageClassification(IReadOnlyList<string> labels, int imageSize) => LoadNewClassifier(labels, imageSize);

    /// <summary>Reads the classifier by itself: on the mean patch embedding.</summary>
    /// <returns>Weights [labels, hidden] and bias [labels], row-major; null if there is none.</returns>
    /// <exception cref="InvalidDataException">It does not fit the configuration.</exception>
    /// <exception cref="ObjectDisposedException">The checkpoint is disposed.</exception>
    internal (float[] Weight, float[] Bias)? ReadClassifier()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (Labels is null)
            return null;
        CompareClassifierTensors().ThrowIfAny($"'{Source}'");
        TorchNative.Ensure();
        return (Read(ClassifierWeight), Read("classifier.bias"));

        float[] Read(string name)
        {
            using Tensor values = empty([.. Tensors[name].Shape], float32);
            _weights.ReadInto(name, values);
            CheckFinite(name, values, SiglipPrecision.Float32);
            return values.data<float>().ToArray();
        }
    }

    /// <summary>Computes the SHA-256 of the weights.</summary>
    /// <returns>64 lower-case hexadecimal digits: of model.safetensors, or of the shards' bytes one after the other in the order of their names.</returns>
    /// <exception cref="ObjectDisposedException">The checkpoint is disposed.</exception>
    public string ComputeSha256()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _weights.ComputeSha256();
    }

    /// <summary>Computes a SHA-256 of what the vision model is: its configuration and its tensors, with their types as stored. It does not depend on other
    /// tensors in the files, nor on how these are divided and named.</summary>
    /// <returns>64 lower-case hexadecimal digits.</returns>
    /// <exception cref="ObjectDisposedException">The checkpoint is disposed.</exception>
    internal string ComputeModelSha256()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        Faults.ThrowIfAny($"'{Source}'");
        string[] names = [.. ExpectedTensors.OfVisionModel(Config).Select(tensor => _prefix + tensor.Name)];
        ConcurrentDictionary<string, string> hashes = [];
        ParallelLoop.For(names.Length, i => hashes[names[i]] = _weights.ComputeSha256(names[i]));
        return ModelSha256(hashes);
    }

    /// <summary>Loads the vision model, with fixed or variable resolution, for inference only. Where there are kernels for that its weights are laid out for them, each
    /// layer's as soon as they are read, so that no more than one layer's are in memory twice.</summary>
    /// <param name="precision">In what to compute.</param>
    /// <param name="device">Where the model is.</param>
    /// <returns>The model, and <see cref="ComputeModelSha256"/>, from one reading of the weights.</returns>
    /// <exception cref="ObjectDisposedException">The checkpoint is disposed.</exception>
    internal (nn.Module Model, string Sha256) LoadForInference(SiglipPrecision precision, Device device)
    {
        ConcurrentDictionary<string, string> hashes = [];
        nn.Module model = Config is Siglip2VisionConfig ? LoadVariableResolution(precision, hashes, device) : LoadFixedResolution(precision, hashes, device);
        return (model, ModelSha256(hashes));
    }

    /// <summary>Closes the files. Models that were loaded stay as they are.</summary>
    public void Dispose()
    {
        _disposed = true;
        _weights.Dispose();
    }

    /// <summary>How the classifier's tensors differ from those that the labels ask for: not at all if there is no classifier.</summary>
    /// <exception cref="InvalidDataException">The configuration does not name each class once.</exception>
    internal TensorFaults CompareClassifierTensors()
    {
        var faults = new TensorFaults(Config, Tensors);
        if (Labels is null)
            return faults;
        foreach ((string name, long[] shape) in ExpectedTensors.OfClassifier(Config, Labels.Count))
            faults.Expect(name, shape);
        foreach (string name in Tensors.Keys.Where(name => name.StartsWith(ClassifierPrefix, StringComparison.Ordinal)
            && name is not (ClassifierWeight or "classifier.bias")))
            faults.AddUnexpected(name);
        return faults;
    }

    /// <summary>Opens a checkpoint that travels inside something else.</summary>
    /// <param name="configJson">The text of config.json.</param>
    /// <param name="preprocessorJson">The text of preprocessor_config.json.</param>
    /// <param name="weights">The contents of model.safetensors, seekable; closed with the checkpoint, or if opening fails.</param>
    /// <param name="source">What error messages call it.</param>
    internal static SiglipCheckpoint FromStreams(string configJson, string preprocessorJson, Stream weights, string source)
    {
        ArgumentNullException.ThrowIfNull(weights);
        try
        {
            return Create(configJson, preprocessorJson, CheckpointWeights.Open(weights, source), source, $"{source}, {ConfigName}", $"{source}, {PreprocessorName}").Fitting();
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    private static SiglipCheckpoint OpenFolder(string folder, HuggingFaceSnapshot? snapshot = null)
    {
        string config = Path.Combine(folder, ConfigName), preprocessor = Path.Combine(folder, PreprocessorName), processor = Path.Combine(folder, ProcessorName);
        string[] needed = [config, preprocessor, processor, Path.Combine(folder, CheckpointWeights.FileName), Path.Combine(folder, CheckpointWeights.IndexName)];
        if (!needed.Any(File.Exists))
            throw new FileNotFoundException($"'{folder}' is no checkpoint folder: it has none of {ConfigName}, {PreprocessorName} and "
                + $"{CheckpointWeights.FileName}; name a folder that has them.", config);
        if (!File.Exists(config))
            throw new FileNotFoundException($"The file '{config}' does not exist. Copy the {ConfigName} that belongs to the "
                + "weights into the folder.", config);
        if (ImageProcessorOf(processor) is { } settings)
            return Create(CheckpointText.Read(config), settings, CheckpointWeights.OpenFolder(folder), folder, $"'{config}'", $"'{processor}'", snapshot);
        if (!File.Exists(preprocessor))
            throw new FileNotFoundException($"The file '{preprocessor}' does not exist. It says how images are resized and "
                + "normalized, which decides the numbers: "
                + "copy the one that belongs to the weights into the folder.", preprocessor);
        return Create(CheckpointText.Read(config), CheckpointText.Read(preprocessor), CheckpointWeights.OpenFolder(folder), folder, $"'{config}'", $"'{preprocessor}'",
            snapshot);
    }

    /// <summary>The settings of the image processor in a <c>processor_config.json</c>; null if there is no such file, or nothing of that in it.</summary>
    /// <remarks>transformers 5 saves them there, and reads them there first; earlier versions have other things in the file.</remarks>
    internal static string? ImageProcessorOf(string path)
    {
        if (!File.Exists(path))
            return null;
        using JsonDocument document = JsonFields.Parse(CheckpointText.Read(path), $"'{path}'");
        return new JsonFields(document.RootElement, $"'{path}'").Find("image_processor") is { ValueKind: JsonValueKind.Object } settings
            ? settings.GetRawText()
            : null;
    }

    private static SiglipCheckpoint OpenNano()
    {
        Stream? weights = Resource(CheckpointWeights.FileName);
        using Stream? config = Resource(ConfigName), preprocessor = Resource(PreprocessorName);
        if (weights is null || config is null || preprocessor is null)
        {
            weights?.Dispose();
            throw new FileNotFoundException($"This build of Siglip.Core does not contain the model '{Nano}': the folder "
                + "models/siglip-nano-cifar10 was missing "
                + "when it was built. Build it with that folder, or name another model's folder.");
        }

        return FromStreams(CheckpointText.Read(config, ConfigName), CheckpointText.Read(preprocessor, PreprocessorName), weights, Nano);
    }

    private static Stream? Resource(string file) => Assembly.GetExecutingAssembly().GetManifestResourceStream($"models/nano/{file}");

    private static SiglipCheckpoint Create(
        string configJson, string preprocessorJson, CheckpointWeights weights, string source, string configSource, string preprocessorSource,
        HuggingFaceSnapshot? snapshot = null)
    {
        try
        {
            return new SiglipCheckpoint(configJson, preprocessorJson, weights, snapshot?.PinnedName ?? source, configSource, preprocessorSource) { Snapshot = snapshot };
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    private SiglipCheckpoint Fitting()
    {
        try
        {
            Faults.ThrowIfAny($"'{Source}'");
            return this;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private TensorFaults CompareVisionTensors()
    {
        var faults = new TensorFaults(Config, Tensors);
        var known = new HashSet<string>(StringComparer.Ordinal);
        foreach ((string name, long[] shape) in ExpectedTensors.OfVisionModel(Config))
        {
            known.Add(_prefix + name);
            faults.Expect(_prefix + name, shape);
        }

        known.Add(PositionIds);
        foreach (string name in Tensors.Keys.Where(name => !known.Contains(name) && !IsOfOtherParts(name)
            && !name.StartsWith(ClassifierPrefix, StringComparison.Ordinal)))
            faults.AddUnexpected(name);
        if (faults.Any)
            faults.Cause = FaultCause.Find(Config, Tensors, _prefix, ConfigJson);
        return faults;
    }

    private static bool IsOfOtherParts(string name) =>
        name is "logit_scale" or "logit_bias" || name.StartsWith("text_model.", StringComparison.Ordinal);

    private SiglipForImageClassification LoadNewClassifier(IReadOnlyList<string> labels, int? imageSize)
    {
        (SiglipVisionConfig config, SiglipImageProcessorConfig processorConfig) = FixedResolution(imageSize);
        return Load(() => new SiglipForImageClassification(config, labels) { ProcessorConfig = processorConfig }, SiglipPrecision.Float32, withClassifier: false);
    }

    // With another image size, unless that is null.
    private (SiglipVisionConfig Config, SiglipImageProcessorConfig ProcessorConfig) FixedResolution(int? imageSize = null)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if ((Config, ProcessorConfig) is not (SiglipVisionConfig config, SiglipImageProcessorConfig processorConfig))
            throw new InvalidOperationException($"'{Source}' is a model with variable resolution (NaFlex); load it as a {nameof(Siglip2VisionModel)}.");
        if (imageSize is not { } size)
            return (config, processorConfig);
        (config, processorConfig) = (config with { ImageSize = size }, processorConfig with { Height = size, Width = size });
        config.Validate();
        processorConfig.Validate();
        return (config, processorConfig);
    }

    private SiglipVisionModel LoadFixedResolution(SiglipPrecision precision, ConcurrentDictionary<string, string>? hashes = null, Device? inferenceOn = null)
    {
        (SiglipVisionConfig config, SiglipImageProcessorConfig processorConfig) = FixedResolution();
        return Load(() => new SiglipVisionModel(config) { ProcessorConfig = processorConfig }, precision, hashes: hashes, inferenceOn: inferenceOn);
    }

    private Siglip2VisionModel LoadVariableResolution(SiglipPrecision precision, ConcurrentDictionary<string, string>? hashes = null, Device? inferenceOn = null)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return (Config, ProcessorConfig) is (Siglip2VisionConfig config, Siglip2ImageProcessorConfig processorConfig)
            ? Load(() => new Siglip2VisionModel(config) { ProcessorConfig = processorConfig }, precision, hashes: hashes, inferenceOn: inferenceOn)
            : throw new InvalidOperationException($"'{Source}' is a model with fixed resolution; load it as a {nameof(SiglipVisionModel)}.");
    }

    // If there are hashes, every tensor's is added, under its stored name. If there is a device, the model is moved there, for inference only.
    private TModel Load<TModel>(
        Func<TModel> create, SiglipPrecision precision, bool withClassifier = true, ConcurrentDictionary<string, string>? hashes = null, Device? inferenceOn = null)
        where TModel : nn.Module
    {
        Faults.ThrowIfAny($"'{Source}'");
        SiglipPrecision ofModules = inferenceOn is null ? precision : precision.OfModules();
        using var ordinaryTensors = inference_mode(false); // whatever the caller's: others may train the model, and other threads write to it below
        TModel model;
        using (Initialization.Skip(ofModules.ToDtype()))
            model = create();

        try
        {
            using DisposeScope scope = NewDisposeScope();
            KeyValuePair<string, Tensor>[] parameters = [.. model.state_dict()
                .Where(parameter => withClassifier || !parameter.Key.StartsWith(ClassifierPrefix, StringComparison.Ordinal))];
            if (inferenceOn is not null && SiglipEncoder.IsPackable(precision, inferenceOn))
            {
                ReadThose(name => !name.StartsWith(ExpectedTensors.LayersPrefix, StringComparison.Ordinal));
                SiglipEncoder.Of(model).PackFor(precision, layers => ReadThose(name => layers.Any(layer => name.StartsWith($"{ExpectedTensors.LayersPrefix}{layer}.", StringComparison.Ordinal))));
            }
            else
            {
                ReadThose(_ => true);
            }

            if (inferenceOn is not null)
                model.to(inferenceOn);
            model.eval();
            return model;

            void ReadThose(Func<string, bool> include)
            {
                KeyValuePair<string, Tensor>[] those = [.. parameters.Where(parameter => include(parameter.Key))];
                ParallelLoop.For(those.Length, i => Read(those[i].Key, those[i].Value, ofModules, hashes));
            }
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private void Read(string name, Tensor parameter, SiglipPrecision precision, ConcurrentDictionary<string, string>? hashes)
    {
        string stored = name.StartsWith(ExpectedTensors.Prefix, StringComparison.Ordinal) ? _prefix + name[ExpectedTensors.Prefix.Length..] : name;
        using IncrementalHash? hash = hashes is null ? null : IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        if (name == ExpectedTensors.PositionEmbedding && !parameter.shape.SequenceEqual(Tensors[stored].Shape))
            ReadInterpolated(stored, parameter);
        else
            _weights.ReadInto(stored, parameter, hash);
        CheckFinite(stored, parameter, precision);
        if (hash is not null)
            hashes![stored] = Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    // Of the tensors' hashes, under their stored names.
    private string ModelSha256(ConcurrentDictionary<string, string> hashes)
    {
        IEnumerable<string> lines = ExpectedTensors.OfVisionModel(Config).OrderBy(tensor => tensor.Name, StringComparer.Ordinal).Select(tensor =>
        {
            SafetensorsEntry entry = Tensors[_prefix + tensor.Name];
            return $"{tensor.Name} {entry.Dtype} [{string.Join(", ", entry.Shape)}] {hashes[_prefix + tensor.Name]}";
        });
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', [Config.ToJson(), .. lines]))));
    }

    private void ReadInterpolated(string name, Tensor parameter)
    {
        using var noGradients = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor positions = empty([.. Tensors[name].Shape], float32); // [side · side, hidden]
        _weights.ReadInto(name, positions);
        CheckFinite(name, positions, SiglipPrecision.Float32);
        (long from, long to) = ((long)Math.Sqrt(positions.shape[0]), (long)Math.Sqrt(parameter.shape[0]));
        parameter.copy_(SiglipVisionEmbeddings.Interpolate(positions, from, to, to));
    }

    private void CheckFinite(string name, Tensor parameter, SiglipPrecision precision)
    {
        if (FiniteValues.Only(parameter))
            return;
        throw new InvalidDataException($"'{Source}': tensor '{name}' has values that are no finite numbers (NaN or infinity), so that all embeddings would be NaN. "
            + (precision == SiglipPrecision.Float16 && Tensors[name].Dtype != ScalarType.Float16 ? "Load it in Float32, as its values may be too large for Float16; otherwise " : "")
            + "it is damaged, or its training diverged: fetch it again, or take an earlier checkpoint.");
    }
}
