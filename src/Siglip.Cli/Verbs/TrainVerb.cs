using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Trainers;
using Microsoft.ML.Transforms;
using Siglip.Core;
using Siglip.MLNet;

namespace Siglip.Cli;

/// <summary><c>siglip train</c>: a folder of class folders becomes an ML.NET classifier on SigLIP embeddings.</summary>
internal static class TrainVerb
{
    public static Command Create()
    {
        var folder = new Argument<string>("FOLDER") { Description = "The images, in one folder per class." };
        var output = new Option<string>("--output") { Description = "The ML.NET model to write, such as model.zip.", Required = true };
        Option<string> model = CommonOptions.Model();
        Option<string?> kind = CommonOptions.OutputKind();
        Option<int> batchSize = CommonOptions.BatchSize();
        Option<string> device = CommonOptions.Device();
        var checkpoint = new CheckpointOptions();
        var heldOut = new Option<double>("--held-out") { Description = "Share of each class that is held out to measure with.", DefaultValueFactory = _ => 0.2 };
        heldOut.Accept(value => value is > 0 and < 1, "a number above 0 and below 1");
        var regularization = new Option<float>("--l2") { Description = "Weight of the classifier's L2 regularization.", DefaultValueFactory = _ => 1f };
        regularization.Accept(value => value >= 0 && float.IsFinite(value), "a number of at least 0");
        var seed = new Option<int>("--seed") { Description = "Decides which images are held out.", DefaultValueFactory = _ => 0 };
        seed.Within(int.MinValue);
        var cache = new Option<string?>("--embedding-cache")
        {
            Description = "A file (SQLite) with embeddings: of images that it has from an earlier run none are computed, new ones are added.",
        };
        Option<bool> json = CommonOptions.Json();

        var command = new Command("train", "Train an ML.NET classifier on the embeddings of images.")
        {
            folder, output, model, checkpoint.Revision, kind, batchSize, device, checkpoint.Precision, checkpoint.ImageBackend, checkpoint.ImageSize, checkpoint.InterpolatePositionEncoding,
            checkpoint.MaxNumPatches, checkpoint.ApplyExifOrientation, checkpoint.FastDecode, heldOut, regularization, seed, cache, json,
        };
        GroupedHelp.Add(command, [],
            "# folders of images, one per class, to a model for siglip predict and for ML.NET", "siglip train photos --output model.zip",
            "# the next time, with more photos, only the new ones are embedded", "siglip train photos --output model.zip --embedding-cache photos.db",
            "# on another checkpoint's embeddings", "siglip train photos --model models/siglip2-base-patch16-224 --precision bfloat16 --output model.zip");
        command.SetAction((parsed, cancellationToken) => Task.FromResult(Run(
            parsed.GetRequiredValue(folder), parsed.GetRequiredValue(output), parsed.GetRequiredValue(model),
            CommonOptions.EmbeddingOf(parsed.GetValue(kind)), parsed.GetValue(batchSize), parsed.GetRequiredValue(device), checkpoint.Read(parsed),
            parsed.GetValue(heldOut), parsed.GetValue(regularization), parsed.GetValue(seed), parsed.GetValue(cache), parsed.GetValue(json), cancellationToken)));
        return command;
    }

    private static int Run(
        string folder, string output, string model, SiglipEmbeddingOutputs? kind, int batchSize, string device, CheckpointSettings settings,
        double heldOutShare, float regularization, int seed, string? cachePath, bool json, CancellationToken cancellationToken)
    {
        int? gpuDeviceId = CommonOptions.GpuDeviceId(device);
        ImageFolderDataset dataset = ImageInputs.OpenDataset(folder);
        (ImageFolderDataset kept, ImageFolderDataset heldOut) = dataset.Split(heldOutShare, seed);
        using var staged = new StagedFiles();
        StagedFiles.CheckWritable(output);
        model = NamedModel.Fetch(model, settings.Revision, cancellationToken);

        var mlContext = new MLContext(seed);
        using SiglipEmbeddingCache? cache = cachePath is null ? null : mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = cachePath });
        using SiglipImageFeaturizingTransformer featurizer = mlContext.Transforms.SiglipFeaturizeImage(new SiglipImageFeaturizingOptions
        {
            InputColumnName = SavedModelClassifier.ImagePathColumn,
            Columns = { [SavedModelClassifier.EmbeddingColumn] = OutputKind(kind, model, settings) },
            Model = model,
            BatchSize = batchSize,
            Precision = settings.Precision ?? SiglipPrecision.Float32,
            ImageBackend = settings.ImageBackend ?? SiglipImageBackend.Pillow,
            ImageHeight = settings.ImageSize?.Height,
            ImageWidth = settings.ImageSize?.Width,
            InterpolatePositionEncoding = settings.InterpolatePositionEncoding,
            MaxNumPatches = settings.MaxNumPatches,
            ApplyExifOrientation = settings.ApplyExifOrientation,
            FastDecode = settings.FastDecode,
            GpuDeviceId = gpuDeviceId,
        }).Fit(Images(mlContext, kept.Images));
        RunDetails.OfComputation(device, settings.Precision ?? SiglipPrecision.Float32, batchSize);

        long start = Stopwatch.GetTimestamp();
        float[][] embeddings = Embed(mlContext, featurizer, [.. kept.Images, .. heldOut.Images], cancellationToken);
        // The same type as in the saved pipeline, with both dimensions of patches: a trainer's model takes no other.
        DataViewType type = featurizer.GetOutputSchema(Images(mlContext, []).Schema)[SavedModelClassifier.EmbeddingColumn].Type;
        double imagesPerSecond = embeddings.Length / Stopwatch.GetElapsedTime(start).TotalSeconds;
        IDataView training = Embedded(mlContext, kept, embeddings[..kept.Images.Count], type);
        IDataView testing = Embedded(mlContext, heldOut, embeddings[kept.Images.Count..], type);

        // Fitted step by step, because the saved model starts at the path of an image and needs no label.
        ValueToKeyMappingTransformer toKey = mlContext.Transforms.Conversion.MapValueToKey(
            SavedModelClassifier.LabelColumn, keyOrdinality: ValueToKeyMappingEstimator.KeyOrdinality.ByValue).Fit(training);
        var trainer = mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy(new LbfgsMaximumEntropyMulticlassTrainer.Options
        {
            LabelColumnName = SavedModelClassifier.LabelColumn,
            FeatureColumnName = SavedModelClassifier.EmbeddingColumn,
            L2Regularization = regularization,
            L1Regularization = 0,
            NumberOfThreads = 1,
        });
        MulticlassPredictionTransformer<MaximumEntropyModelParameters> linear = trainer.Fit(toKey.Transform(training));
        IDataView predictions = linear.Transform(toKey.Transform(testing));
        ITransformer toLabel = mlContext.Transforms.Conversion.MapKeyToValue(SavedModelClassifier.PredictedLabelColumn).Fit(predictions);
        MulticlassClassificationMetrics metrics = mlContext.MulticlassClassification.Evaluate(predictions, SavedModelClassifier.LabelColumn);
        cancellationToken.ThrowIfCancellationRequested();

        var chain = new TransformerChain<ITransformer>(featurizer, linear, toLabel);
        DataViewSchema inputSchema = mlContext.Data.LoadFromEnumerable<PathRow>([]).Schema;
        staged.Add(output, stream => mlContext.Model.Save(chain, inputSchema, stream));
        staged.Commit();

        Report(dataset, kept, metrics, output, json);
        CommandLineRunner.Summarize(embeddings.Length, failed: 0, imagesPerSecond, $"the model is in {output}");
        return CommandLineRunner.Success;
    }

    private static float[][] Embed(MLContext mlContext, SiglipImageFeaturizingTransformer featurizer, LabeledImage[] images, CancellationToken cancellationToken)
    {
        IDataView view = featurizer.Transform(Images(mlContext, images));
        DataViewSchema.Column column = view.Schema[SavedModelClassifier.EmbeddingColumn];
        long start = Stopwatch.GetTimestamp();
        return ProgressDisplay.Run("Embedding", progress =>
        {
            float[][] embeddings = new float[images.Length][];
            using DataViewRowCursor cursor = view.GetRowCursor([column]);
            ValueGetter<VBuffer<float>> getter = cursor.GetGetter<VBuffer<float>>(column);
            VBuffer<float> buffer = default;
            for (int i = 0; cursor.MoveNext(); i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                try
                {
                    getter(ref buffer);
                }
                catch (Exception e) when (e is InvalidDataException or FileNotFoundException && e.InnerException is { } reason)
                {
                    // without the advice for C#
                    throw reason is ArgumentException refusal ? UnfitImage.Named($"'{images[i].Path}'", refusal) : new InvalidDataException(reason.Message, e);
                }

                embeddings[i] = buffer.DenseValues().ToArray();
                progress.Report(ProgressState.OfImages(i + 1, images.Length, Stopwatch.GetElapsedTime(start)));
            }

            return embeddings;
        });
    }

    private static void Report(ImageFolderDataset dataset, ImageFolderDataset kept, MulticlassClassificationMetrics metrics, string output, bool json)
    {
        int heldOut = dataset.Images.Count - kept.Images.Count;
        string[] labels = [.. dataset.Labels]; // in ordinal order, as the keys are
        double[] recall = [.. metrics.ConfusionMatrix.PerClassRecall];
        double[] counts = [.. metrics.ConfusionMatrix.Counts.Select(row => row.Sum())];
        if (json)
        {
            Results.WriteJson(new JsonObject
            {
                ["model"] = output,
                ["trainedOn"] = kept.Images.Count,
                ["heldOut"] = heldOut,
                ["accuracy"] = metrics.MicroAccuracy,
                ["macroAccuracy"] = metrics.MacroAccuracy,
                ["logLoss"] = metrics.LogLoss,
                ["accuracyByClass"] = new JsonObject(labels.Select((label, i) => KeyValuePair.Create(label, (JsonNode?)recall[i]))),
            });
            return;
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"Trained on {kept.Images.Count:N0} images of {labels.Length} classes. Accuracy on the {heldOut:N0} held out: {metrics.MicroAccuracy:P1} (log-loss {metrics.LogLoss:F3})"));
        Results.WriteTable(["class", "accuracy", "held out"], labels.Select((label, i) =>
            new[] { label, recall[i].ToString("P1", CultureInfo.InvariantCulture), counts[i].ToString("N0", CultureInfo.InvariantCulture) }));
        if (CommandLineRunner.Verbosity == Verbosity.Quiet)
            return;
        Console.WriteLine();
        Console.WriteLine($"The model is in {output}. Predict with it: {CommandText.Of("predict", output, "IMAGE…")}");
    }

    private static IDataView Images(MLContext mlContext, IEnumerable<LabeledImage> images) =>
        mlContext.Data.LoadFromEnumerable(images.Select(image => new ImageRow { ImagePath = image.Path }));

    private static IDataView Embedded(MLContext mlContext, ImageFolderDataset dataset, float[][] embeddings, DataViewType type)
    {
        SchemaDefinition schema = SchemaDefinition.Create(typeof(EmbeddedRow));
        schema[SavedModelClassifier.EmbeddingColumn].ColumnType = type;
        return mlContext.Data.LoadFromEnumerable(
            dataset.Images.Select((image, i) => new EmbeddedRow { Label = dataset.Labels[image.Label], Embedding = embeddings[i] }), schema);
    }

    private static SiglipOutputKind OutputKind(SiglipEmbeddingOutputs? wanted, string model, CheckpointSettings settings)
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(model);
        settings.CheckFit(checkpoint.Config);
        RunDetails.Of(checkpoint);
        if (wanted is null)
            return checkpoint.Config.VisionUseHead ? SiglipOutputKind.PooledEmbedding : SiglipOutputKind.MeanPatchEmbedding;
        return Enum.GetValues<SiglipOutputKind>().Single(kind => FeaturizedSchema.FlagOf(kind) == wanted);
    }

    // The saved model's input: a path, and no label.
    private sealed class PathRow
    {
        public string ImagePath { get; set; } = "";
    }

    private sealed class EmbeddedRow
    {
        public string Label { get; set; } = "";

        public float[] Embedding { get; set; } = [];
    }
}
