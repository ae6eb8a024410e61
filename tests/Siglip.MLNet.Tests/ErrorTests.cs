using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class ErrorTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    public void A_missing_column_is_named_in_all_three_places()
    {
        IDataView data = Data(_mlContext);
        var estimator = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Picture", Checkpoint);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", Checkpoint).Fit(data);
        IDataView without = _mlContext.Transforms.DropColumns("Path").Fit(data).Transform(data);

        foreach (Action action in (Action[])[() => estimator.GetOutputSchema(EstimatorWorkout.ShapeOf(data.Schema)), () => estimator.Fit(data)])
            StringAssert.Contains(Assert.ThrowsExactly<ArgumentOutOfRangeException>(action).Message, "'Picture'");
        foreach (Action action in (Action[])[() => model.Transform(without), () => model.GetOutputSchema(without.Schema)])
            StringAssert.Contains(Assert.ThrowsExactly<ArgumentOutOfRangeException>(action).Message, "'Path'");
    }

    [TestMethod]
    [DataRow("Number", "Single")]
    [DataRow("Vector", "Vector")]
    public void A_wrong_type_is_named_with_the_types_that_are_right(string column, string found)
    {
        IDataView data = Data(_mlContext);
        var estimator = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", column, Checkpoint);

        foreach (Action action in (Action[])[() => estimator.GetOutputSchema(EstimatorWorkout.ShapeOf(data.Schema)), () => estimator.Fit(data)])
        {
            var exception = Assert.ThrowsExactly<ArgumentOutOfRangeException>(action);
            StringAssert.Contains(exception.Message, $"'{column}': expected {FeaturizedSchema.ExpectedTypes}, got");
            StringAssert.Contains(exception.Message, found);
        }
    }

    [TestMethod]
    public void A_missing_checkpoint_is_an_error_of_the_estimator()
    {
        string folder = NewPath("no-such-checkpoint");
        var exception = Assert.ThrowsExactly<FileNotFoundException>(() => _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", folder));
        StringAssert.Contains(exception.Message, folder);
    }

    [TestMethod]
    public void A_model_without_head_gives_no_pooled_embedding()
    {
        var exception = Assert.ThrowsExactly<ArgumentException>(() => _mlContext.Transforms.SiglipFeaturizeImage(
            "Embedding", "Path", CheckpointWithoutHead, SiglipOutputKind.PooledEmbedding));
        StringAssert.Contains(exception.Message, "'Embedding'");
        StringAssert.Contains(exception.Message, "MeanPatchEmbedding");

        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", CheckpointWithoutHead, SiglipOutputKind.MeanPatchEmbedding).Fit(data);
        Assert.HasCount(Images.Count, Vectors(model.Transform(data), "Embedding"));
    }

    [TestMethod]
    public void A_missing_GPU_is_an_error_of_the_estimator_unless_the_CPU_may_compute()
    {
        var options = Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { GpuDeviceId = 99 };
        var exception = Assert.ThrowsExactly<InvalidOperationException>(() => _mlContext.Transforms.SiglipFeaturizeImage(options));
        StringAssert.Contains(exception.Message, "GPU device 99");
        StringAssert.Contains(exception.Message, "set SiglipImageFeaturizingOptions.FallbackToCpu to true");

        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options with { FallbackToCpu = true }).Fit(data);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(model.Transform(data), "Embedding"));
    }

    [TestMethod]
    public void The_contexts_GPU_is_used_if_none_is_named()
    {
        var mlContext = new MLContext { GpuDeviceId = 98, FallbackToCpu = false };
        var exception = Assert.ThrowsExactly<InvalidOperationException>(() => mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", Checkpoint));
        StringAssert.Contains(exception.Message, "GPU device 98 is asked for (MLContext.GpuDeviceId)");
        StringAssert.Contains(exception.Message, "set MLContext.FallbackToCpu to true");
    }

    [TestMethod]
    public void A_null_schema_is_refused_under_its_parameters_name()
    {
        IDataView data = Data(_mlContext);
        var estimator = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", Checkpoint);
        using var model = estimator.Fit(data);

        Assert.AreEqual("inputSchema", Assert.ThrowsExactly<ArgumentNullException>(() => estimator.GetOutputSchema(null!)).ParamName);
        Assert.AreEqual("inputSchema", Assert.ThrowsExactly<ArgumentNullException>(() => model.GetOutputSchema(null!)).ParamName);
        Assert.AreEqual("inputSchema",
            Assert.ThrowsExactly<ArgumentNullException>(() => ((ITransformer)model).GetRowToRowMapper(null!)).ParamName);
        Assert.AreEqual("input", Assert.ThrowsExactly<ArgumentNullException>(() => model.Transform(null!)).ParamName);
    }

    [TestMethod]
    [DataRow(1, 16, true, "expects images with 1 channel, but image files are read as RGB, 3 channels.")]
    [DataRow(3, 20, true, "makes images of 20 x 20 pixels, the model expects 16 x 16")]
    [DataRow(3, 20, false, "makes images of 20 x 20 pixels, the model expects 16 x 16")]
    public void A_checkpoint_that_does_not_fit_itself_is_an_error_of_the_estimator(int channels, int size, bool resize, string message)
    {
        string folder = SaveCheckpoint($"unfit-{channels}-{size}-{resize}", Config with { NumChannels = channels }, seed: 1);
        File.WriteAllText(Path.Combine(folder, "preprocessor_config.json"),
            new SiglipImageProcessorConfig { Height = size, Width = size, DoResize = resize }.ToJson());

        var exception = Assert.ThrowsExactly<ArgumentException>(() => _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", folder));
        StringAssert.Contains(exception.Message, message);
        StringAssert.Contains(exception.Message, folder);
    }

    [TestMethod]
    [DataRow(SiglipOutputKind.PooledEmbedding, 1)]
    [DataRow(SiglipOutputKind.PatchEmbeddings, 3)] // a wide model: more values come out than go in
    public void A_batch_that_fits_in_no_array_is_an_error_of_the_estimator(SiglipOutputKind kind, int width)
    {
        string folder = SaveCheckpoint($"width-{width}", Config with { HiddenSize = Hidden * 3 * width }, seed: 1);
        int largest = Array.MaxLength / (16 * 16 * 3 * width);
        var options = Options("Path", ("Embedding", kind)) with { Model = folder, BatchSize = largest };
        _mlContext.Transforms.SiglipFeaturizeImage(options);

        var exception = Assert.ThrowsExactly<ArgumentOutOfRangeException>(
            () => _mlContext.Transforms.SiglipFeaturizeImage(options with { BatchSize = largest + 1 }));
        StringAssert.Contains(exception.Message, $"BatchSize is {largest + 1}, which is too large: at most {largest} images");
    }

    [TestMethod]
    public void Options_out_of_range_are_refused()
    {
        SiglipImageFeaturizingOptions good = Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding));
        Refuse<ArgumentOutOfRangeException>(good with { BatchSize = 0 }, "BatchSize is 0, expected at least 1.");
        Refuse<ArgumentOutOfRangeException>(good with { GpuDeviceId = -1 }, "from 0");
        Refuse<ArgumentException>(good with { GpuDeviceId = 1, UseAllGpus = true }, "GpuDeviceId is 1");
        Refuse<ArgumentOutOfRangeException>(good with { BadImages = (BadImageHandling)9 }, "bad images");
        Refuse<ArgumentOutOfRangeException>(Options("Path", ("Embedding", (SiglipOutputKind)9)), "'Embedding'");
        Refuse<ArgumentException>(Options("Path"), "no output column");
        Refuse<ArgumentException>(Options("Path", ("", SiglipOutputKind.PooledEmbedding)), "is empty");
        Refuse<ArgumentException>(good with { Model = "" }, "is empty");
        Refuse<ArgumentException>(
            Options("Path", ("A", SiglipOutputKind.PooledEmbedding), ("B", SiglipOutputKind.PooledEmbedding)) with { InputColumnName = null },
            "InputColumnName is missing");
        Assert.ThrowsExactly<ArgumentException>(() => _mlContext.Transforms.SiglipFeaturizeImage("", "Path", Checkpoint));

        void Refuse<T>(SiglipImageFeaturizingOptions options, string message) where T : Exception =>
            StringAssert.Contains(Assert.ThrowsExactly<T>(() => _mlContext.Transforms.SiglipFeaturizeImage(options)).Message, message);
    }

    [TestMethod]
    public void A_bad_rows_message_is_the_cause_and_one_hint()
    {
        string missing = NewPath("missing.png");
        Exception exception = ErrorOfRow("Path", [missing], row: 0, batchSize: 1);
        Assert.AreEqual($"Row 0, column 'Path': {exception.InnerException!.Message} With BadImages set to BadImageHandling.Missing its embedding is NaN "
            + "instead.", exception.Message);
        Assert.AreEqual($"The image '{missing}' does not exist. Check the path.", exception.InnerException.Message);
    }

    [TestMethod]
    public void A_bad_rows_message_does_not_name_parameters_of_the_library()
    {
        string folder = SaveCheckpoint("without-resize", Config, seed: 1);
        File.WriteAllText(Path.Combine(folder, "preprocessor_config.json"),
            new SiglipImageProcessorConfig { Height = 16, Width = 16, DoResize = false }.ToJson());
        IDataView data = Data(_mlContext, [Images[0], Images[1]]);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", folder).Fit(data);

        var exception = Assert.ThrowsExactly<InvalidDataException>(() => Vectors(model.Transform(data), "Embedding"));
        StringAssert.StartsWith(exception.Message, $"Row 1, column 'Path': '{Images[1]}': The image has 40 x 24 pixels");
        Assert.IsFalse(exception.Message.Contains("Parameter", StringComparison.Ordinal), exception.Message);
        Assert.IsInstanceOfType<ArgumentException>(exception.InnerException);
    }

    [TestMethod]
    public void A_batch_of_bad_images_needs_no_forward_pass()
    {
        IDataView data = Data(_mlContext, ["a.png", "b.png"]);
        var options = Options("Path", ("Pooled", SiglipOutputKind.PooledEmbedding)) with { BadImages = BadImageHandling.Missing };
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);

        Assert.IsTrue(Vectors(model.Transform(data), "Pooled").All(values => values.All(float.IsNaN)));
        Assert.AreEqual(0, model.ForwardPasses);
    }

    [TestMethod]
    [DataRow(1, false)]
    [DataRow(3, false)]
    [DataRow(16, false)]
    [DataRow(1, true)]
    [DataRow(3, true)]
    [DataRow(16, true)]
    public void An_image_that_an_earlier_step_cannot_load_is_missing_in_its_row_only(int batchSize, bool passesImage)
    {
        using var model = FitBehindLoader(out IDataView data, BadImageHandling.Missing, batchSize);
        IDataView transformed = model.Transform(data);
        DataViewSchema.Column column = transformed.Schema["Embedding"], image = transformed.Schema["Image"];
        using DataViewRowCursor cursor = transformed.GetRowCursor(passesImage ? [column, image] : [column]);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding, [Images[0], Images[1], Images[3], Images[3]]);
        MLImage value = null!;
        for (int row = 0; row < 4; row++)
        {
            Assert.IsTrue(cursor.MoveNext());
            Assert.AreEqual(row, cursor.Position);
            float[] embedding = EstimatorWorkout.ReadVector(cursor, column);
            if (row == 2)
                Assert.IsTrue(embedding.All(float.IsNaN));
            else
                AreClose([expected[row]], [embedding]);
            if (!passesImage)
                continue;
            var getter = cursor.GetGetter<MLImage>(image);
            if (row == 2)
                Assert.Throws<Exception>(() => getter(ref value));
            else
                getter(ref value);
        }

        Assert.IsFalse(cursor.MoveNext());
        value?.Dispose();
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(16)]
    public void An_image_that_an_earlier_step_cannot_load_is_an_error_of_its_row(int batchSize)
    {
        using var model = FitBehindLoader(out IDataView data, BadImageHandling.Throw, batchSize);
        IDataView transformed = model.Transform(data);
        DataViewSchema.Column column = transformed.Schema["Embedding"];
        using DataViewRowCursor cursor = transformed.GetRowCursor([column]);
        for (int row = 0; row < 4; row++)
        {
            Assert.IsTrue(cursor.MoveNext());
            if (row != 2)
            {
                Assert.HasCount(Hidden, EstimatorWorkout.ReadVector(cursor, column));
                continue;
            }

            var exception = Assert.Throws<Exception>(() => EstimatorWorkout.ReadVector(cursor, column));
            Assert.IsTrue(exception is InvalidDataException or FileNotFoundException, exception.ToString());
            StringAssert.StartsWith(exception.Message, "Row 2, column 'Image': ");
        }

        Assert.IsFalse(cursor.MoveNext());
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(3)]
    [DataRow(16)]
    public void An_input_that_fails_gives_the_rows_before_and_then_its_own_error(int batchSize)
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(Rows());
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(
            Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = batchSize }).Fit(data);
        IDataView transformed = model.Transform(data);
        DataViewSchema.Column column = transformed.Schema["Embedding"];
        using DataViewRowCursor cursor = transformed.GetRowCursor([column]);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding, Images.Take(4));
        for (int row = 0; row < 4; row++)
        {
            Assert.IsTrue(cursor.MoveNext());
            Assert.AreEqual(row, cursor.Position);
            AreClose([expected[row]], [EstimatorWorkout.ReadVector(cursor, column)]);
        }

        for (int i = 0; i < 2; i++)
        {
            Assert.AreEqual("The line is cut.", Assert.ThrowsExactly<TimeoutException>(() => cursor.MoveNext()).Message);
            Assert.AreEqual(-1, cursor.Position);
        }

        static IEnumerable<ImageRow> Rows()
        {
            for (int i = 0; i < 4; i++)
                yield return new ImageRow { Path = Images[i] };
            throw new TimeoutException("The line is cut.");
        }
    }

    [TestMethod]
    public void A_value_that_cannot_be_read_ahead_is_an_error_for_its_reader_only()
    {
        IDataView data = UnluckyRows();
        using var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", Checkpoint, SiglipOutputKind.PooledEmbedding).Fit(data);
        IDataView transformed = model.Transform(data);
        DataViewSchema.Column column = transformed.Schema["Embedding"];
        using DataViewRowCursor cursor = transformed.GetRowCursor([column, transformed.Schema["Value"]]);
        var getter = cursor.GetGetter<float>(transformed.Schema["Value"]);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding, Images.Take(4));
        float value = 0;
        for (int row = 0; cursor.MoveNext(); row++)
        {
            AreClose([expected[row]], [EstimatorWorkout.ReadVector(cursor, column)]);
            if (row == 2)
                Assert.AreEqual("unlucky", Assert.ThrowsExactly<DivideByZeroException>(() => getter(ref value)).Message);
            else
                getter(ref value);
        }

        Assert.AreEqual(3, value);
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void A_failure_that_is_not_of_the_image_never_becomes_a_missing_value(bool passesPath)
    {
        IDataView data = UnluckyRows();
        var options = Options("UnluckyPath", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BadImages = BadImageHandling.Missing };
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);
        IDataView transformed = model.Transform(data);
        DataViewSchema.Column column = transformed.Schema["Embedding"];
        using DataViewRowCursor cursor = transformed.GetRowCursor(passesPath ? [column, transformed.Schema["UnluckyPath"]] : [column]);
        for (int row = 0; row < 4; row++)
        {
            Assert.IsTrue(cursor.MoveNext());
            if (row == 2)
                Assert.AreEqual("unlucky", Assert.ThrowsExactly<DivideByZeroException>(() => EstimatorWorkout.ReadVector(cursor, column)).Message);
            else
                Assert.IsTrue(EstimatorWorkout.ReadVector(cursor, column).All(float.IsFinite));
        }

        Assert.IsFalse(cursor.MoveNext());
    }

    /// <summary>Four rows: two good images, a path of none, a good image; loaded by ML.NET.</summary>
    private TransformerChain<SiglipImageFeaturizingTransformer> FitBehindLoader(out IDataView data, BadImageHandling badImages, int batchSize)
    {
        data = Data(_mlContext, [Images[0], Images[1], NewPath("missing.png"), Images[3]]);
        return _mlContext.Transforms.LoadImages("Image", "", "Path")
            .Append(_mlContext.Transforms.SiglipFeaturizeImage(Options("Image", ("Embedding", SiglipOutputKind.PooledEmbedding)) with
            {
                BadImages = badImages,
                BatchSize = batchSize,
            })).Fit(data);
    }

    private IDataView UnluckyRows() =>
        _mlContext.Data.LoadFromEnumerable(Images.Take(4).Select((path, i) => new UnluckyRow { Number = i, Path = path }).ToArray());

    /// <summary>The rows before give their values.</summary>
    private Exception ErrorOfRow(string input, string[] images, int row, int batchSize)
    {
        IDataView data = Data(_mlContext, images);
        var options = Options(input, ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = batchSize };
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);
        IDataView transformed = model.Transform(data);
        DataViewSchema.Column column = transformed.Schema["Embedding"];
        using DataViewRowCursor cursor = transformed.GetRowCursor([column]);
        for (int i = 0; i < row; i++)
        {
            Assert.IsTrue(cursor.MoveNext());
            Assert.IsTrue(EstimatorWorkout.ReadVector(cursor, column).All(float.IsFinite));
        }

        Assert.IsTrue(cursor.MoveNext());
        return Assert.Throws<Exception>(() => EstimatorWorkout.ReadVector(cursor, column));
    }

    /// <summary>The getters of two columns fail in row 2.</summary>
    private sealed class UnluckyRow
    {
        public float Number { get; set; }

        public string Path { get; set; } = "";

        public float Value
        {
            get => Number == 2 ? throw new DivideByZeroException("unlucky") : Number;
            set => Number = value;
        }

        public string UnluckyPath
        {
            get => Number == 2 ? throw new DivideByZeroException("unlucky") : Path;
            set => Path = value;
        }
    }
}
