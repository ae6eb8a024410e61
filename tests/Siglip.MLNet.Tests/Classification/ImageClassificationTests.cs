using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using SkiaSharp;
using TorchSharp;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class ImageClassificationTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    public void A_pipeline_learns_red_from_blue_and_a_loaded_one_gives_the_same_bits()
    {
        IDataView training = Colours.Load(_mlContext, Colours.Rows.Take(16)), test = Colours.Load(_mlContext, Colours.Rows.Skip(16));
        using var model = _mlContext.Transforms.Conversion.MapValueToKey("Label", "Class")
            .Append(Colours.Trainer(_mlContext, Colours.Options))
            .Append(_mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"))
            .Fit(training);

        IDataView predictions = model.Transform(test);
        MulticlassClassificationMetrics metrics = _mlContext.MulticlassClassification.Evaluate(predictions);
        Assert.AreEqual(1, metrics.MicroAccuracy);
        Assert.IsLessThan(0.5, metrics.LogLoss);
        CollectionAssert.AreEqual(Colours.Rows.Skip(16).Select(row => row.Class).ToArray(), predictions.GetColumn<string>("PredictedLabel").ToArray());
        foreach (float[] score in Vectors(predictions, "Score"))
            Assert.AreEqual(1, score.Sum(), 1e-6);

        ITransformer loaded = EstimatorWorkout.SaveAndLoad(new MLContext(), model, training.Schema);
        IDataView again = loaded.Transform(test);
        AreSame(Vectors(predictions, "Score"), Vectors(again, "Score"));
        CollectionAssert.AreEqual(predictions.GetColumn<string>("PredictedLabel").ToArray(), again.GetColumn<string>("PredictedLabel").ToArray());
        using var engine = _mlContext.Model.CreatePredictionEngine<ColourRow, ColourPrediction>(loaded);
        ColourPrediction prediction = engine.Predict(Colours.Rows[17]);
        Assert.AreEqual("blue", prediction.PredictedLabel);
        AreClose([Vectors(predictions, "Score")[1]], [prediction.Score]);
    }

    [TestMethod]
    public void Cross_validation_trains_a_model_for_each_fold()
    {
        var folds = _mlContext.MulticlassClassification.CrossValidate(Colours.Keyed(_mlContext), Colours.Trainer(_mlContext, Colours.Options), numberOfFolds: 2);

        Assert.HasCount(2, folds);
        foreach (var fold in folds)
        {
            Assert.AreEqual(1, fold.Metrics.MicroAccuracy);
            ((IDisposable)fold.Model).Dispose();
        }
    }

    [TestMethod]
    [DataRow("Class", true)]
    [DataRow("Number", true)]
    [DataRow("Class", false)]
    public void Columns_are_those_of_ML_NET_s_own_multiclass_trainers(string from, bool withValues)
    {
        IDataView data = Colours.Keyed(_mlContext, from: from);
        if (!withValues)
            data = WithoutKeyValues(data);
        using var featurizer = _mlContext.Transforms.SiglipFeaturizeImage("Features", "Path", Checkpoint, SiglipOutputKind.PooledEmbedding).Fit(data);
        IDataView features = featurizer.Transform(data);
        var reference = _mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy();
        IDataView expected = reference.Fit(features).Transform(features);
        SiglipImageClassificationTrainer trainer = Colours.Trainer(_mlContext);
        using var model = trainer.Fit(features);
        IDataView actual = model.Transform(features);

        CollectionAssert.AreEqual(Lines(expected.Schema), Lines(actual.Schema));
        SchemaShape shape = EstimatorWorkout.ShapeOf(features.Schema);
        CollectionAssert.AreEquivalent(Lines(reference.GetOutputSchema(shape)), Lines(trainer.GetOutputSchema(shape)));

        using var loaded = (SiglipImageClassificationTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);
        CollectionAssert.AreEqual(Lines(actual.Schema), Lines(loaded.Transform(features).Schema));
        CollectionAssert.AreEqual(withValues ? from == "Class" ? ["red", "blue"] : ["7", "9"] : (string[])["0", "1"], loaded.Labels.ToArray());

        // After another score, the sets of columns differ.
        CollectionAssert.AreEqual(Lines(reference.Fit(features).Transform(expected).Schema), Lines(model.Transform(expected).Schema));
    }

    [TestMethod]
    public void The_predicted_label_is_the_key_of_the_highest_score()
    {
        IDataView data = Colours.Keyed(_mlContext);
        using var model = Colours.Trainer(_mlContext).Fit(data);
        IDataView predictions = model.Transform(data);

        float[][] scores = Vectors(predictions, "Score");
        CollectionAssert.AreEqual(scores.Select(score => score[1] > score[0] ? 2u : 1u).ToArray(), predictions.GetColumn<uint>("PredictedLabel").ToArray());
    }

    [TestMethod]
    [DataRow(SiglipClassifierInput.MeanAndPooled)]
    [DataRow(SiglipClassifierInput.Pooled)]
    public void The_saved_checkpoint_gives_the_same_probabilities_and_embeddings(SiglipClassifierInput input)
    {
        IDataView data = Colours.Keyed(_mlContext);
        SiglipImageClassificationOptions options = Colours.OneStep with { Training = Colours.OneStep.Training with { ClassifierInput = input } };
        using var model = Colours.Trainer(_mlContext, options).Fit(data);
        string folder = NewPath($"trained-{input}");
        model.SavePretrained(folder);

        using var classifier = SiglipForImageClassification.FromPretrained(folder);
        CollectionAssert.AreEqual((string[])["red", "blue"], classifier.Labels.ToArray());
        var processor = new SiglipImageProcessor(new SiglipImageProcessorConfig { Height = 16, Width = 16 });
        float[] pixels = [.. Colours.Rows.SelectMany(row => processor.Preprocess(RgbImage.Load(row.Path)))];
        using DisposeScope scope = torch.NewDisposeScope();
        using var noGradients = torch.no_grad();
        torch.Tensor images = torch.tensor(pixels, [Colours.Rows.Count, 3, 16, 16]);
        torch.Tensor logits = input == SiglipClassifierInput.Pooled
            ? classifier.Classify(classifier.EmbedBoth(images, new SiglipForwardOptions()).Pooled!) : classifier.call(images);
        float[][] expected = [.. logits.softmax(1).data<float>().ToArray().Chunk(2)];
        AreClose(expected, Vectors(model.Transform(data), "Score"));

        // The probe was trained; so embeddings of the folder are not those of where the training started.
        using var featurizer = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", folder, SiglipOutputKind.PooledEmbedding).Fit(data);
        using var start = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", Checkpoint, SiglipOutputKind.PooledEmbedding).Fit(data);
        CollectionAssert.AreNotEqual(Vectors(start.Transform(data), "Embedding")[0], Vectors(featurizer.Transform(data), "Embedding")[0]);
    }

    [TestMethod]
    public void A_checkpoint_with_a_classifier_for_the_same_classes_goes_on_from_it()
    {
        IDataView data = Colours.Keyed(_mlContext);
        string folder = NewPath("to-go-on-from");
        float[][] before;
        using (var model = Colours.Trainer(_mlContext).Fit(data))
        {
            model.SavePretrained(folder);
            before = Vectors(model.Transform(data), "Score");
        }

        SiglipImageClassificationOptions barely = Colours.OneStep with { Model = folder, Training = Colours.OneStep.Training with { LearningRate = 1e-9, Seed = 5 } };
        using (var model = Colours.Trainer(_mlContext, barely).Fit(data))
            AreClose(before, Vectors(model.Transform(data), "Score"));

        IDataView others = Colours.Keyed(_mlContext, Colours.Rows.Skip(1)); // blue is the first class there
        using (var model = Colours.Trainer(_mlContext, barely).Fit(others))
            Assert.IsGreaterThan(0.001f, Math.Abs(before[1][1] - Vectors(model.Transform(others), "Score")[0][0]));
    }

    [TestMethod]
    public void A_new_model_is_trained_from_its_sizes()
    {
        IDataView data = Colours.Keyed(_mlContext);
        SiglipImageClassificationOptions options = Colours.Options with { Config = Config with { NumHiddenLayers = 1 }, Training = Colours.Options.Training with { Epochs = 8 } };
        using var model = Colours.Trainer(_mlContext, options).Fit(data);
        using var mimetic = Colours.Trainer(_mlContext, options with { MimeticInitialization = true }).Fit(data);

        Assert.AreEqual(1, _mlContext.MulticlassClassification.Evaluate(model.Transform(data)).MicroAccuracy);
        CollectionAssert.AreNotEqual(Vectors(model.Transform(data), "Score")[0], Vectors(mimetic.Transform(data), "Score")[0]);
        using var loaded = (SiglipImageClassificationTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);
        AreSame(Vectors(model.Transform(data), "Score"), Vectors(loaded.Transform(data), "Score"));
    }

    [TestMethod]
    public void The_classifier_alone_is_trained_and_the_vision_model_stays()
    {
        IDataView data = Colours.Keyed(_mlContext);
        using var model = Colours.Trainer(_mlContext, Colours.Options with { Training = Colours.Options.Training with { TrainedLayers = 0, LearningRate = 0.1 } }).Fit(data);
        using var start = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", Checkpoint).Fit(data);

        Assert.AreEqual(1, _mlContext.MulticlassClassification.Evaluate(model.Transform(data)).MicroAccuracy);
        Assert.AreEqual(start.Embedder.ModelSha256, model.Featurizer.Embedder.ModelSha256);
        Assert.IsTrue(start.Embedder.SharesModel, "one model in memory");
    }

    [TestMethod]
    public void A_model_is_trained_for_images_of_another_size()
    {
        IDataView data = Colours.Keyed(_mlContext);
        using var model = Colours.Trainer(_mlContext, Colours.OneStep with { ImageSize = 24 }).Fit(data);
        using var loaded = (SiglipImageClassificationTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);

        Assert.AreEqual(24, ((SiglipVisionConfig)loaded.Featurizer.Embedder.Config).ImageSize);
        Assert.AreEqual(36, loaded.Featurizer.Embedder.PatchCount);
        AreSame(Vectors(model.Transform(data), "Score"), Vectors(loaded.Transform(data), "Score"));
    }

    [TestMethod]
    public void The_training_s_seed_decides_and_not_the_context_s()
    {
        float[] Scores(int contextSeed, int seed, string image = "Path")
        {
            var mlContext = new MLContext(contextSeed);
            IDataView data = WithImages(mlContext, Colours.Keyed(mlContext));
            SiglipImageClassificationOptions options = Colours.Options with { Training = Colours.Options.Training with { Augmentation = new(), Epochs = 1, Seed = seed } };
            using var model = Colours.Trainer(mlContext, options, image).Fit(data);
            return [.. Vectors(model.Transform(data), "Score").SelectMany(score => score)];
        }

        float[] expected = Scores(1, 3);
        CollectionAssert.AreEqual(expected, Scores(2, 3));
        CollectionAssert.AreEqual(expected, Scores(1, 3, "Bytes"));
        CollectionAssert.AreEqual(expected, Scores(1, 3, "Image")); // PNG: ML.NET decodes it to the same pixels
        CollectionAssert.AreNotEqual(expected, Scores(1, 4));
    }

    [TestMethod]
    public void Wrong_columns_are_refused_in_the_schema_and_when_fitting()
    {
        IDataView data = Colours.Keyed(_mlContext);
        Refused("Class", "Path", "'Class': expected a key of at most 1048576 classes (use MapValueToKey first), got ", "String");
        Refused("Number", "Path", "'Number': expected a key", "Int32");
        Refused("None", "Path", "'None'", "");
        Refused("Label", "Number", "'Number': expected MLImage", "Int32");
        Refused("Label", "Label", "'Label': expected MLImage", "Key<UInt32");
        Refused("Label", "None", "'None'", "");
        using var model = Colours.Trainer(_mlContext).Fit(data);
        Assert.Contains("'Path'", Assert.ThrowsExactly<ArgumentOutOfRangeException>(() =>
            model.Transform(_mlContext.Data.LoadFromEnumerable([new { Other = "" }]))).Message);

        void Refused(string label, string image, params string[] parts)
        {
            SiglipImageClassificationTrainer trainer = _mlContext.MulticlassClassification.Trainers.SiglipImageClassification(label, image, Colours.OneStep);
            foreach (Action action in (Action[])[() => trainer.GetOutputSchema(EstimatorWorkout.ShapeOf(data.Schema)), () => trainer.Fit(data)])
            {
                string message = Assert.ThrowsExactly<ArgumentOutOfRangeException>(action).Message;
                foreach (string part in parts)
                    Assert.Contains(part, message);
            }
        }
    }

    [TestMethod]
    public void Options_out_of_range_are_refused_at_once()
    {
        SiglipImageClassificationOptions good = Colours.OneStep;
        IDataView data = Colours.Keyed(_mlContext);
        Refused<ArgumentException>(good with { Training = good.Training with { Device = "cuda" } }, "Training.Device is 'cuda'. Leave it out");
        Refused<ArgumentOutOfRangeException>(good with { Training = good.Training with { LearningRate = double.NaN } }, "Expected a finite number above 0");
        Refused<ArgumentException>(good with { ScoreColumnName = "" }, "output column is empty");
        Refused<ArgumentException>(good with { PredictedLabelColumnName = "" }, "PredictedLabelColumnName is empty");
        Refused<ArgumentException>(good with { PredictedLabelColumnName = "Score" }, "are both 'Score'");
        Refused<ArgumentOutOfRangeException>(good with { ValidationSetFraction = double.NaN }, "ValidationSetFraction is NaN");
        Refused<ArgumentOutOfRangeException>(good with { ValidationSetFraction = 1 }, "ValidationSetFraction is 1");
        Refused<ArgumentException>(good with { ValidationSetFraction = 0.1, ValidationSet = data }, "set one of the two");
        Refused<ArgumentException>(good with { Training = good.Training with { EarlyStoppingPatience = 1 } }, "EarlyStoppingPatience needs images to measure with");
        Refused<ArgumentException>(good with { Config = Config, ImageSize = 20 }, "set the ImageSize of Config");
        Refused<ArgumentException>(good with { ImageSize = 3 }, "image_size");
        Refused<ArgumentException>(good with { MimeticInitialization = true }, "Config is not set");
        Refused<ArgumentOutOfRangeException>(good with { BatchSize = 0 }, "BatchSize is 0");
        Refused<ArgumentOutOfRangeException>(good with { Config = Config, BatchSize = int.MaxValue }, "BatchSize is 2147483647, which is too large");
        Refused<ArgumentException>(good with { Model = NaFlex }, "variable resolution (NaFlex), which cannot be fine-tuned");
        Refused<ArgumentException>(good with { Config = Config with { HiddenSize = 15 } }, "num_attention_heads");
        Refused<ArgumentException>(good with { Model = CheckpointWithoutHead, Training = good.Training with { ClassifierInput = SiglipClassifierInput.Pooled } }, "no pooling head");
        Refused<ArgumentException>(good with { Training = good.Training with { TrainedLayers = 99 } }, "The last 99 layers are to be trained, but the model has ");
        Refused<ArgumentException>(good with { Training = good.Training with { Lora = new() { Rank = 99 } } }, "The rank of the additions is 99");
        Refused<FileNotFoundException>(good with { Model = "no-such-folder" }, "no-such-folder");
        Refused<ArgumentOutOfRangeException>(good with { GpuDeviceId = -1 }, "SiglipImageClassificationOptions.GpuDeviceId is negative");
        Refused<InvalidOperationException>(good with { GpuDeviceId = 97 }, "set SiglipImageClassificationOptions.FallbackToCpu to true");

        void Refused<T>(SiglipImageClassificationOptions options, string message)
            where T : Exception => Assert.Contains(message, Assert.ThrowsExactly<T>(() => Colours.Trainer(_mlContext, options)).Message);
    }

    [TestMethod]
    public void A_bad_image_ends_the_training_or_is_left_out()
    {
        IDataView data = Colours.Keyed(_mlContext, [.. Colours.Rows, new() { Path = "no-such-file.png", Bytes = [1, 2], Class = "red" }]);
        Assert.Contains("no-such-file.png", Assert.ThrowsExactly<FileNotFoundException>(() => Colours.Trainer(_mlContext).Fit(data)).Message);
        Assert.Contains("Row 24", Assert.ThrowsExactly<InvalidDataException>(() => Colours.Trainer(_mlContext, image: "Bytes").Fit(data)).Message);

        using var model = Colours.Trainer(_mlContext, Colours.Options with
        {
            Training = Colours.Options.Training with { SkipBadImages = true },
            BadImages = BadImageHandling.Missing,
            BatchSize = 7,
        }).Fit(data);
        IDataView predictions = model.Transform(data);
        Assert.AreEqual(1, _mlContext.MulticlassClassification.Evaluate(model.Transform(Colours.Keyed(_mlContext))).MicroAccuracy);
        float[][] scores = Vectors(predictions, "Score");
        uint[] labels = [.. predictions.GetColumn<uint>("PredictedLabel")];
        Assert.IsTrue(float.IsNaN(scores[24][0]) && float.IsNaN(scores[24][1]));
        Assert.AreEqual(0u, labels[24]);
        Assert.IsFalse(scores[..24].Any(score => score.Any(float.IsNaN)) || labels.Take(24).Contains(0u));
    }

    [TestMethod]
    public void A_bad_image_s_score_throws_and_names_the_row()
    {
        IDataView data = Colours.Keyed(_mlContext, [.. Colours.Rows, new() { Path = "no-such-file.png", Class = "red" }]);
        using var model = Colours.Trainer(_mlContext).Fit(Colours.Keyed(_mlContext));

        foreach (Action read in (Action[])[() => Vectors(model.Transform(data), "Score"), () => _ = model.Transform(data).GetColumn<uint>("PredictedLabel").ToArray()])
            Assert.AreEqual("Row 24, column 'Path': The image 'no-such-file.png' does not exist. Check the path. With BadImages set to BadImageHandling.Missing its score is "
                + "NaN instead.", Assert.ThrowsExactly<FileNotFoundException>(read).Message.Replace(Directory.GetCurrentDirectory() + Path.DirectorySeparatorChar, ""));
    }

    [TestMethod]
    public void A_validation_set_is_measured_after_each_epoch()
    {
        IDataView all = Colours.Keyed(_mlContext);
        var progress = new Reports();
        using var model = Colours.Trainer(_mlContext, Colours.Options with { ValidationSet = _mlContext.Data.SkipRows(all, 18), Progress = progress })
            .Fit(_mlContext.Data.TakeRows(all, 18));
        using var divided = Colours.Trainer(_mlContext, Colours.OneStep with { ValidationSetFraction = 0.25, Progress = progress }).Fit(all);

        SiglipEvaluation[] measured = [.. progress.All.Where(report => report.EndOfEpoch).Select(report => report.Validation!)];
        CollectionAssert.AreEqual((int[])[6, 6, 6, 6, 6], measured.Select(evaluation => evaluation.Count).ToArray());
        Assert.AreEqual(1, measured[3].Accuracy);
        foreach (SiglipEvaluation evaluation in measured)
            CollectionAssert.AreEqual((int[])[3, 3], evaluation.Confusion.Select(row => row.Sum()).ToArray(), "both classes alike");
    }

    [TestMethod]
    public void A_validation_set_with_other_keys_is_refused()
    {
        IDataView all = Colours.Keyed(_mlContext);
        var trainer = Colours.Trainer(_mlContext, Colours.OneStep with { ValidationSet = Colours.Keyed(_mlContext, Colours.Rows.Skip(1)) });
        Assert.AreEqual("The keys in column 'Label' stand for 'blue', 'red' in ValidationSet, and for 'red', 'blue' in the training data, expected the same. Give both to "
            + "Transform of one fitted MapValueToKey, or set ValidationSetFraction in place of ValidationSet.",
            Assert.ThrowsExactly<ArgumentException>(() => trainer.Fit(all)).Message);

        trainer = Colours.Trainer(_mlContext, Colours.OneStep with { ValidationSet = Colours.Load(_mlContext) });
        Assert.Contains("'Label'", Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => trainer.Fit(all)).Message);
        trainer = Colours.Trainer(_mlContext, Colours.OneStep with { ValidationSetFraction = 0.5 });
        Assert.Contains("each class has one only", Assert.ThrowsExactly<InvalidOperationException>(() => trainer.Fit(_mlContext.Data.TakeRows(all, 2))).Message);
    }

    [TestMethod]
    public void Data_without_labels_are_refused()
    {
        IDataView none = _mlContext.Data.SkipRows(Colours.Keyed(_mlContext), Colours.Rows.Count);
        Assert.AreEqual("The training data have no row with a label in column 'Label', expected at least one.",
            Assert.ThrowsExactly<InvalidOperationException>(() => Colours.Trainer(_mlContext).Fit(none)).Message);
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void Canceling_the_token_or_the_context_ends_the_training_before_the_next_step(bool context)
    {
        IDataView data = Colours.Keyed(_mlContext);
        using var source = new CancellationTokenSource();
        var progress = new Reports { Then = report => { if (report.Step == 2) Cancel(); } };
        SiglipImageClassificationTrainer trainer = Colours.Trainer(_mlContext, Colours.Options with { Progress = progress, CancellationToken = source.Token });

        Assert.ThrowsExactly<OperationCanceledException>(() => trainer.Fit(data));
        Assert.HasCount(2, progress.All);
        Assert.ThrowsExactly<OperationCanceledException>(() => trainer.Fit(data)); // before anything is read
        Assert.HasCount(2, progress.All);

        void Cancel()
        {
            if (context)
                CancellationTests.Cancel(_mlContext);
            else
                source.Cancel();
        }
    }

    [TestMethod]
    public void Embeddings_of_two_models_do_not_mix_in_the_context_s_cache()
    {
        IDataView data = Colours.Keyed(_mlContext);
        using var one = Colours.Trainer(_mlContext, Colours.OneStep).Fit(data);
        using var other = Colours.Trainer(_mlContext, Colours.OneStep with { Training = Colours.OneStep.Training with { Seed = 2 } }).Fit(data);
        float[][] expected = Vectors(one.Transform(data), "Score"), otherExpected = Vectors(other.Transform(data), "Score");
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings();

        for (int i = 0; i < 2; i++)
        {
            AreSame(expected, Vectors(one.Transform(data), "Score"));
            AreSame(otherExpected, Vectors(other.Transform(data), "Score"));
        }

        Assert.AreEqual((48, 48), (cache.Misses, cache.Hits));
    }

    [TestMethod]
    public void Fitting_saving_and_disposing_leave_no_tensor_behind()
    {
        IDataView data = Colours.Keyed(_mlContext);
        SiglipImageClassificationTrainer trainer = Colours.Trainer(_mlContext, Colours.OneStep with { ValidationSetFraction = 0.5 });
        SiglipImageClassificationTrainer diverging = Colours.Trainer(_mlContext, Colours.Options with { Training = Colours.Options.Training with { LearningRate = 1e30 } });
        string folder = NewPath("counted");

        Assert.AreEqual(0, Core.Tests.TensorCount.LeftBy(() =>
        {
            using var model = trainer.Fit(data);
            Vectors(model.Transform(data), "Score");
            model.SavePretrained(folder);
            using var loaded = (SiglipImageClassificationTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);
            Vectors(loaded.Transform(data), "Score");
            Assert.Contains("diverged", Assert.ThrowsExactly<InvalidOperationException>(() => diverging.Fit(data)).Message);
        }));
    }

    [TestMethod]
    public void After_dispose_use_is_an_error()
    {
        IDataView data = Colours.Keyed(_mlContext);
        SiglipImageClassificationTransformer model = Colours.Trainer(_mlContext).Fit(data);
        IDataView predictions = model.Transform(data);
        model.Dispose();
        model.Dispose();

        Assert.ThrowsExactly<ObjectDisposedException>(() => Vectors(predictions, "Score"));
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.Transform(data));
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.SavePretrained(NewPath("disposed")));
        Assert.ThrowsExactly<ObjectDisposedException>(() => EstimatorWorkout.Save(_mlContext, model, data.Schema));
    }

    private static IDataView WithImages(MLContext mlContext, IDataView data) =>
        mlContext.Transforms.LoadImages("Image", "", "Path").Fit(data).Transform(data);

    private IDataView WithoutKeyValues(IDataView data)
    {
        uint[] keys = [.. data.GetColumn<uint>("Label")];
        return _mlContext.Data.LoadFromEnumerable(Colours.Rows.Zip(keys).Select(pair => new KeyRow { Path = pair.First.Path, Label = pair.Second }));
    }

    /// <summary>A line for each column: name, type, and annotations with their values.</summary>
    private static string[] Lines(DataViewSchema schema) => [.. schema.Where(column => column.Name is "Score" or "PredictedLabel").Select(column =>
        $"{column.Index} {column.Name} {column.Type} [{string.Join(", ", column.Annotations.Schema.Select(kind => Line(column.Annotations, kind)).Order(StringComparer.Ordinal))}]")];

    private static string Line(DataViewSchema.Annotations annotations, DataViewSchema.Column kind)
    {
        return $"{kind.Name} {kind.Type} {kind.Type switch
        {
            TextDataViewType => Value<ReadOnlyMemory<char>>().ToString(),
            KeyDataViewType => Value<uint>().ToString(),
            VectorDataViewType { ItemType: TextDataViewType } => string.Join('|', Value<VBuffer<ReadOnlyMemory<char>>>().DenseValues()),
            VectorDataViewType => string.Join('|', Value<VBuffer<int>>().DenseValues()),
            _ => throw new NotSupportedException($"{kind.Type}"),
        }}";

        T Value<T>()
        {
            T value = default!;
            annotations.GetValue(kind.Name, ref value);
            return value;
        }
    }

    private static string[] Lines(SchemaShape shape) => [.. shape.Select(column =>
        $"{column.Name} {column.Kind} {column.ItemType} {column.IsKey} [{string.Join(", ", Lines(column.Annotations))}]").Order(StringComparer.Ordinal)];

    private sealed class Reports : IProgress<SiglipTrainingProgress>
    {
        public List<SiglipTrainingProgress> All { get; } = [];

        public Action<SiglipTrainingProgress>? Then { get; init; }

        public void Report(SiglipTrainingProgress value)
        {
            All.Add(value);
            Then?.Invoke(value);
        }
    }

    private sealed class KeyRow
    {
        public string Path { get; set; } = "";

        [KeyType(2)]
        public uint Label { get; set; }
    }
}
