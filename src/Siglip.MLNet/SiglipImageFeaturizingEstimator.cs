using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using Siglip.Core;
using Siglip.MLNet.Internals;

namespace Siglip.MLNet;

/// <summary><see cref="IEstimator{TTransformer}"/> for the <see cref="SiglipImageFeaturizingTransformer"/>, which embeds images with the vision model of a
/// SigLIP or SigLIP 2 checkpoint.</summary>
/// <remarks>
/// <format type="text/markdown"><![CDATA[
/// To create this estimator, use
/// [SiglipFeaturizeImage](xref:Microsoft.ML.SiglipCatalog.SiglipFeaturizeImage(Microsoft.ML.TransformsCatalog,System.String,System.String,System.String,Siglip.MLNet.SiglipOutputKind,System.Nullable{System.Int32},System.Boolean))
/// or [SiglipFeaturizeImage(Options)](xref:Microsoft.ML.SiglipCatalog.SiglipFeaturizeImage(Microsoft.ML.TransformsCatalog,Siglip.MLNet.SiglipImageFeaturizingOptions)).
///
/// ### Estimator Characteristics
/// |  |  |
/// | -- | -- |
/// | Does this estimator need to look at the data to train its parameters? | No |
/// | Input column data type | <xref:Microsoft.ML.Data.MLImage>, a vector of <xref:System.Byte> (the content of an image file), or [Text](<xref:Microsoft.ML.Data.TextDataViewType>) (the path of one) |
/// | Output column data type | Known-sized vector of <xref:System.Single>: [patches, hidden], [hidden] or [2], or <xref:System.Single>; see <xref:Siglip.MLNet.SiglipOutputKind> |
/// | Required NuGet in addition to Microsoft.ML | Siglip.MLNet, and one of TorchSharp-cpu, TorchSharp-cuda-linux, TorchSharp-cuda-windows |
/// | Exportable to ONNX | No |
///
/// ### Images
/// Images are resized and normalized as the checkpoint's preprocessor_config.json says, to the pixels of Python's Pillow, so no ResizeImages and no
/// ExtractPixels is needed. Paths and bytes are decoded on several threads and keep colors under transparent pixels; an MLImage has been decoded by ML.NET.
///
/// ### Caching
/// The estimator learns nothing from the data; its `Fit` loads the checkpoint's weights. Embeddings are computed when the data is read, again in each
/// pass over it. **Put AppendCacheCheckpoint behind this estimator if a trainer reads its data more than once**, as most linear trainers do:
///
/// ```csharp
/// var pipeline = mlContext.Transforms.Conversion.MapValueToKey("Label")
///     .Append(mlContext.Transforms.SiglipFeaturizeImage("Features", "ImagePath", "path/to/checkpoint", SiglipOutputKind.PooledEmbedding))
///     .AppendCacheCheckpoint(mlContext)
///     .Append(mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy());
/// ```
///
/// Cross-validation fits the whole pipeline for each fold, and so embeds every image as often; with
/// [CacheSiglipEmbeddings](xref:Microsoft.ML.SiglipCatalog.CacheSiglipEmbeddings(Microsoft.ML.MLContext,Siglip.MLNet.SiglipEmbeddingCacheOptions)) on the
/// context it embeds each once, and the pipeline stays as it is.
///
/// A batch of rows is read ahead, with the columns that later steps need; images among them are copied. Rows keep their order, and shuffling is left to
/// later steps.
///
/// ### Lifetime
/// The fitted transformer holds the weights in native memory: dispose it, or the chain that it is part of. Transformers with equal weights share them, and
/// the last one frees them.
///
/// Check the See Also section for links to usage examples.
/// ]]>
/// </format>
/// </remarks>
/// <seealso cref="SiglipCatalog.SiglipFeaturizeImage(TransformsCatalog, string, string?, string, SiglipOutputKind, int?, bool)"/>
/// <seealso cref="SiglipCatalog.SiglipFeaturizeImage(TransformsCatalog, SiglipImageFeaturizingOptions)"/>
/// <seealso cref="SiglipCatalog.CacheSiglipEmbeddings(MLContext, SiglipEmbeddingCacheOptions?)"/>
/// <seealso cref="SiglipImageFeaturizingOptions"/>
public sealed class SiglipImageFeaturizingEstimator : IEstimator<SiglipImageFeaturizingTransformer>
{
    private readonly IHost _host;
    private readonly FeaturizerSettings _settings;
    private readonly bool _offline;
    private readonly string _device;
    private readonly CancellationToken _cancellationToken;

    /// <param name="environment">The context's environment.</param>
    /// <param name="options">What to do.</param>
    /// <exception cref="ArgumentException">An option is out of its range, the model has no pooling head for a pooled embedding, or the
    /// checkpoint's preprocessing does not fit its model.</exception>
    /// <exception cref="FileNotFoundException">The checkpoint is missing.</exception>
    /// <exception cref="InvalidDataException">The checkpoint is damaged.</exception>
    /// <exception cref="InvalidOperationException">There is no such GPU, and the CPU is not allowed instead.</exception>
    internal SiglipImageFeaturizingEstimator(IHostEnvironment environment, SiglipImageFeaturizingOptions options)
    {
        _host = environment.Register(nameof(SiglipImageFeaturizingEstimator));
        FeaturizerSettings settings = FeaturizerSettings.From(options);
        _cancellationToken = options.CancellationToken;
        var device = ComputeDevice.From(options, environment);
        using SiglipCheckpoint checkpoint = CheckpointLoading.Open(_host, settings.Model, options.Revision, options.Offline);
        _settings = settings with { Model = checkpoint.Snapshot?.PinnedName ?? settings.Model }; // what is checked here is what Fit loads
        _offline = options.Offline || checkpoint.Snapshot?.Note is not null; // a hub that did not answer is not asked again
        CheckpointLoading.Check(_settings, checkpoint);
        _device = device.Resolve(_host);
    }

    /// <summary>Loads the model. The data is not read.</summary>
    /// <param name="input">Data whose columns are checked.</param>
    /// <returns>A transformer that the caller disposes, or the chain that it becomes part of.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or has a wrong type.</exception>
    public SiglipImageFeaturizingTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(_settings.Model, offline: _offline);
        _ = new FeaturizedSchema(input.Schema, _settings, CheckpointLoading.Check(_settings, checkpoint)); // before the weights are loaded
        return CheckpointLoading.Load(_host, _settings, _device, checkpoint, _settings.EmbedWeights ? null : checkpoint.ComputeSha256(),
            _cancellationToken);
    }

    /// <summary>The columns that the transformer will give for an input.</summary>
    /// <param name="inputSchema">The input's columns.</param>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or has a wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        if (inputSchema.FirstOrDefault(column => column.Name == _settings.InputColumnName) is not { Name: not null } source)
            throw Environments.MissingColumn(nameof(inputSchema), _settings.InputColumnName);
        if (!FeaturizedSchema.IsImageColumn(source))
            throw Environments.SchemaMismatch(nameof(inputSchema), source.Name, FeaturizedSchema.ExpectedTypes, Environments.TypeOf(source));

        var columns = new OrderedDictionary<string, SchemaShape.Column>();
        foreach (SchemaShape.Column column in inputSchema)
            columns[column.Name] = column;
        foreach ((string name, SiglipOutputKind kind) in _settings.Columns)
            columns[name] = Environments.FloatColumn(name, isVector: kind != SiglipOutputKind.PatchCount);
        return new SchemaShape(columns.Values);
    }
}
