using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms;
using Microsoft.ML.Transforms.Image;
using Siglip.Core;
using SkiaSharp;
using static Siglip.MLNet.Tests.Neighbours.Neighbourhood;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests.Neighbours;

/// <summary>Steps of ML.NET's that give the featurizer its images.</summary>
[TestClass]
public sealed class BeforeTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    private static IReadOnlyList<RgbImage> Originals => [.. Images.Select(path => RgbImage.Load(path))];

    [TestMethod]
    [DataRow(Kind.Fixed)]
    [DataRow(Kind.NaFlex)]
    public void LoadImages(Kind model) => AssertEmbeds(_mlContext.Transforms.LoadImages("Image", "", "Path"), "Image", CheckpointOf(model), Originals);

    [TestMethod]
    [DataRow(Kind.Fixed)]
    [DataRow(Kind.NaFlex)]
    public void LoadImages_from_a_folder(Kind model) => AssertEmbeds(_mlContext.Transforms.LoadImages("Image", ImageFolder, "FileName"), "Image", CheckpointOf(model), Originals);

    [TestMethod]
    public void LoadImages_under_the_name_of_the_paths() => AssertEmbeds(_mlContext.Transforms.LoadImages("Path", ""), "Path", Checkpoint, Originals);

    [TestMethod]
    [DataRow(Kind.Fixed)]
    [DataRow(Kind.NaFlex)]
    public void LoadRawImageBytes(Kind model) => AssertEmbeds(_mlContext.Transforms.LoadRawImageBytes("Raw", ImageFolder, "FileName"), "Raw", CheckpointOf(model), Originals);

    [TestMethod]
    [DataRow(ImageResizingEstimator.ResizingKind.IsoPad)]
    [DataRow(ImageResizingEstimator.ResizingKind.IsoCrop)]
    [DataRow(ImageResizingEstimator.ResizingKind.Fill)]
    public void ResizeImages(ImageResizingEstimator.ResizingKind kind)
    {
        var steps = _mlContext.Transforms.LoadImages("Image", "", "Path").Append(_mlContext.Transforms.ResizeImages("Resized", 30, 22, "Image", kind));
        IReadOnlyList<RgbImage> resized = Pictures(Steps(steps), "Resized");
        Assert.IsTrue(resized.All(picture => picture is { Width: 30, Height: 22 }));
        foreach (string model in (string[])[Checkpoint, NaFlex])
            AssertEmbeds(steps, "Resized", model, resized);
    }

    [TestMethod]
    public void ResizeImages_of_an_image_under_its_own_name()
    {
        var steps = _mlContext.Transforms.LoadImages("Image", "", "Path").Append(_mlContext.Transforms.ResizeImages("Image", 30, 22));
        AssertEmbeds(steps, "Image", Checkpoint, Pictures(Steps(steps), "Image"));
    }

    [TestMethod]
    public void ResizeImages_picks_pixels_where_the_featurizer_averages_them()
    {
        string path = SaveImage("checks.png", 32, 32, (x, y) => (x + y) % 2 == 0 ? SKColors.White : SKColors.Black);
        IDataView data = Data(_mlContext, [path]);
        var resize = _mlContext.Transforms.LoadImages("Image", "", "Path")
            .Append(_mlContext.Transforms.ResizeImages("Image", 16, 16, resizing: ImageResizingEstimator.ResizingKind.Fill));
        RgbImage resized = Pictures(resize.Fit(data).Transform(data), "Image").Single();
        Assert.IsTrue(resized.Pixels.All(value => value is 0 or 255), "no gray among the pixels of ML.NET's");

        using var model = resize.Append(Featurizer("Image", batchSize: 1)).Fit(data);
        float[] ofResized = Vectors(model.Transform(data), "Embedding").Single(), own = Expected(SiglipOutputKind.PooledEmbedding, [path]).Single();
        AreSame(Embeddings(Checkpoint, SiglipOutputKind.PooledEmbedding, [resized]), [ofResized]);
        Assert.IsGreaterThan(0.1f, own.Zip(ofResized, (a, b) => Math.Abs(a - b)).Max());
    }

    [TestMethod]
    public void Half_a_file_is_an_image_for_LoadImages_and_a_bad_one_for_the_featurizer()
    {
        string path = NewPath("half.png");
        File.WriteAllBytes(path, File.ReadAllBytes(Images[3])[..^200]);
        IDataView data = Data(_mlContext, [path]);
        using var loaded = _mlContext.Transforms.LoadImages("Image", "", "Path").Append(Featurizer("Image", batchSize: 1)).Fit(data);
        using var own = Featurizer("Path", batchSize: 1).Fit(data);

        Assert.IsFalse(Vectors(loaded.Transform(data), "Embedding").Single().Any(float.IsNaN));
        Assert.ThrowsExactly<InvalidDataException>(() => Vectors(own.Transform(data), "Embedding"));
    }

    [TestMethod]
    public void An_image_type_needs_a_size_that_is_never_compared()
    {
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => _mlContext.Data.LoadFromEnumerable(new[] { new ImageWithoutSize() }));
        using MLImage image = MLImage.CreateFromFile(Images[1]); // 40 x 24
        IDataView data = _mlContext.Data.LoadFromEnumerable(new[] { new MadeImage { Picture = image } });
        using var model = Featurizer("Picture", batchSize: 1).Fit(data);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding, [Images[1]]), Vectors(model.Transform(data), "Embedding"));
    }

    [TestMethod]
    [DataRow(Kind.Fixed)]
    [DataRow(Kind.NaFlex)]
    public void ConvertToGrayscale(Kind model)
    {
        var steps = _mlContext.Transforms.LoadImages("Image", "", "Path").Append(_mlContext.Transforms.ConvertToGrayscale("Gray", "Image"));
        IReadOnlyList<RgbImage> gray = Pictures(Steps(steps), "Gray");
        Assert.IsTrue(gray.All(picture => picture.Pixels.Chunk(3).All(pixel => pixel[0] == pixel[1] && pixel[1] == pixel[2])));
        AssertEmbeds(steps, "Gray", CheckpointOf(model), gray);
        Assert.IsFalse(Embeddings(CheckpointOf(model), SiglipOutputKind.PooledEmbedding, gray)[1]
            .SequenceEqual(Embeddings(CheckpointOf(model), SiglipOutputKind.PooledEmbedding, Originals)[1]), "the color counts");
    }

    [TestMethod]
    public void ConvertToImage_from_extracted_pixels()
    {
        var steps = _mlContext.Transforms.LoadImages("Image", "", "Path")
            .Append(_mlContext.Transforms.ResizeImages("Resized", 20, 24, "Image"))
            .Append(_mlContext.Transforms.ExtractPixels("Pixels", "Resized"))
            .Append(_mlContext.Transforms.ConvertToImage(24, 20, "Again", "Pixels"));
        AssertEmbeds(steps, "Again", Checkpoint, Pictures(Steps(steps), "Resized"));
    }

    [TestMethod]
    [DataRow("Path")]
    [DataRow("Bytes")]
    public void CopyColumns(string column) => AssertEmbeds(_mlContext.Transforms.CopyColumns("Copy", column), "Copy", Checkpoint, Originals);

    [TestMethod]
    public void CustomMapping_to_paths() => AssertEmbeds(
        _mlContext.Transforms.CustomMapping<ImageRow, MadePath>((row, made) => made.MadePath_ = Path.Combine(ImageFolder, row.FileName), contractName: null),
        "MadePath", Checkpoint, Originals, savable: false);

    [TestMethod]
    public void CustomMapping_to_images_that_it_makes_new_for_each_row() => AssertEmbeds(
        _mlContext.Transforms.CustomMapping<ImageRow, MadeImage>((row, made) => made.Picture = MLImage.CreateFromFile(row.Path), contractName: null),
        "Picture", Checkpoint, Originals, savable: false);

    [TestMethod]
    public void CustomMapping_to_bytes_saved_under_a_contract()
    {
        _mlContext.ComponentCatalog.RegisterAssembly(typeof(BytesFactory).Assembly);
        AssertEmbeds(_mlContext.Transforms.CustomMapping(new BytesFactory().GetMapping(), "bytes of a file"), "MadeBytes", Checkpoint, Originals);
    }

    [TestMethod]
    public void StatefulCustomMapping_to_paths() => AssertEmbeds(
        _mlContext.Transforms.StatefulCustomMapping<ImageRow, MadePath, MadePath>(
            (row, made, state) => made.MadePath_ = state.MadePath_ = Path.Combine(ImageFolder, row.FileName), _ => { }, contractName: null),
        "MadePath", Checkpoint, Originals, savable: false);

    [TestMethod]
    public void MapKeyToValue_of_paths()
    {
        var steps = _mlContext.Transforms.Conversion.MapValueToKey("Key", "Path").Append(_mlContext.Transforms.Conversion.MapKeyToValue("Again", "Key"));
        AssertEmbeds(steps, "Again", Checkpoint, Originals);
    }

    [TestMethod]
    [DataRow("TakeRows", new[] { 0, 1, 2 })]
    [DataRow("SkipRows", new[] { 5, 6 })]
    [DataRow("FilterRowsByColumn", new[] { 2, 3, 4 })]
    [DataRow("FilterByCustomPredicate", new[] { 1, 3, 5 })]
    [DataRow("Cache", new[] { 0, 1, 2, 3, 4, 5, 6 })]
    [DataRow("LoadFromBinary", new[] { 0, 1, 2, 3, 4, 5, 6 })]
    [DataRow("Nothing left", new int[0])]
    public void Rows_left_out_before_cost_nothing(string filter, int[] left)
    {
        IDataView all = Data(_mlContext);
        IDataView data = filter switch
        {
            "TakeRows" => _mlContext.Data.TakeRows(all, 3),
            "SkipRows" => _mlContext.Data.SkipRows(all, 5),
            "FilterRowsByColumn" => _mlContext.Data.FilterRowsByColumn(all, "Number", 2, 5),
            "FilterByCustomPredicate" => _mlContext.Data.FilterByCustomPredicate<ImageRow>(all, row => row.Number % 2 == 0),
            "Cache" => _mlContext.Data.Cache(all),
            "LoadFromBinary" => Plain(_mlContext, all),
            _ => _mlContext.Data.FilterByCustomPredicate<ImageRow>(all, _ => true),
        };
        foreach (string input in (string[])["Path", "Bytes"])
        {
            using var model = Featurizer(input, batchSize: 2).Fit(data);
            IDataView transformed = model.Transform(data);
            AreClose([.. Expected(SiglipOutputKind.PooledEmbedding, left.Select(i => Images[i]))], Vectors(transformed, "Embedding"));
            CollectionAssert.AreEqual(left.Select(i => $"image {i}").ToArray(), transformed.GetColumn<string>("Name").ToArray());
            Assert.AreEqual(Passes(left.Length, 2), model.ForwardPasses);
        }
    }

    [TestMethod]
    [DataRow("ShuffleRows")]
    [DataRow("BootstrapSample")]
    public void Rows_in_another_order_keep_their_own_embeddings(string order)
    {
        IDataView all = Data(_mlContext);
        IDataView data = order == "ShuffleRows"
            ? _mlContext.Data.ShuffleRows(all, seed: 3)
            : _mlContext.Data.BootstrapSample(all, seed: 3);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding);
        foreach (string input in (string[])["Path", "Bytes"])
        {
            using var model = Featurizer(input, batchSize: 3).Fit(data);
            var rows = _mlContext.Data.CreateEnumerable<Embedded>(model.Transform(data), reuseRowObject: false).ToArray();

            Assert.IsFalse(rows.Select(row => row.Number).SequenceEqual(Enumerable.Range(0, Images.Count).Select(i => (float)i)), "another order");
            AreClose([.. rows.Select(row => expected[(int)row.Number])], [.. rows.Select(row => row.Embedding)]);
        }
    }

    [TestMethod]
    public void LoadFromTextFile_on_several_threads_keeps_rows_and_images_together()
    {
        const int Rows = 400; // more than a chunk of the loader's
        string file = NewPath("images.tsv");
        File.WriteAllLines(file, Enumerable.Range(0, Rows).Select(i => $"{i}\t{Path.GetFileName(Images[i * 5 % 7])}"));
        IDataView data = _mlContext.Data.LoadFromTextFile(file,
            [new TextLoader.Column("Number", DataKind.Single, 0), new TextLoader.Column("FileName", DataKind.String, 1)]);
        var options = Options("FileName", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { ImageFolder = ImageFolder };
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding);

        var rows = _mlContext.Data.CreateEnumerable<Embedded>(model.Transform(data), reuseRowObject: false).ToArray();

        CollectionAssert.AreEqual(Enumerable.Range(0, Rows).Select(i => (float)i).ToArray(), rows.Select(row => row.Number).ToArray());
        AreClose([.. Enumerable.Range(0, Rows).Select(i => expected[i * 5 % 7])], [.. rows.Select(row => row.Embedding)]);
        Assert.AreEqual(Passes(Rows), model.ForwardPasses);
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    public void A_stream_of_rows_is_read_no_further_than_some_batches_ahead_and_row_by_row_with_batches_of_one(int batchSize)
    {
        int given = 0;
        IDataView data = _mlContext.Data.LoadFromEnumerable(Stream());
        using var model = Featurizer("Path", batchSize).Fit(data);
        IDataView transformed = model.Transform(data);
        using DataViewRowCursor cursor = transformed.GetRowCursor([transformed.Schema["Embedding"]]);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding);
        int ahead = batchSize == 1 ? 0 : batchSize * model.Embedder.BatchesAhead(batchSize);

        given = 0; // LoadFromEnumerable may look at the first one
        for (int row = 0; row < Images.Count; row++)
        {
            Assert.IsTrue(cursor.MoveNext());
            AreClose([expected[row]], [EstimatorWorkout.ReadVector(cursor, transformed.Schema["Embedding"])]);
            Assert.AreEqual(Math.Min((row / batchSize * batchSize) + batchSize + (row < batchSize ? 0 : ahead), Images.Count), given);
        }

        IEnumerable<ImageRow> Stream()
        {
            foreach (string path in Images)
            {
                given++;
                yield return new ImageRow { Path = path };
            }
        }
    }

    [TestMethod]
    public void Files_that_LoadImages_cannot_load_are_missing_values()
    {
        IDataView data = Data(_mlContext, [Images[0], "no-such-file.png", DamagedFile(), Images[1]]);
        var load = _mlContext.Transforms.LoadImages("Image", "", "Path");
        var options = Options("Image", ("Embedding", SiglipOutputKind.PooledEmbedding));
        using var missing = load.Append(_mlContext.Transforms.SiglipFeaturizeImage(options with { BadImages = BadImageHandling.Missing })).Fit(data);
        using var throwing = load.Append(_mlContext.Transforms.SiglipFeaturizeImage(options)).Fit(data);

        float[][] embeddings = Vectors(missing.Transform(data), "Embedding");
        AreClose(Expected(SiglipOutputKind.PooledEmbedding, [Images[0], Images[1]]), [embeddings[0], embeddings[3]]);
        Assert.IsTrue(embeddings[1].Concat(embeddings[2]).All(float.IsNaN));
        StringAssert.Contains(Assert.ThrowsExactly<FileNotFoundException>(() => Vectors(throwing.Transform(data), "Embedding")).Message, "Row 1, column 'Image'");
    }

    [TestMethod]
    public void A_file_that_LoadRawImageBytes_cannot_find_ends_the_data_with_and_without_the_featurizer()
    {
        IDataView data = Data(_mlContext, [Images[0], "no-such-file.png", DamagedFile(), Images[1]]);
        var load = _mlContext.Transforms.LoadRawImageBytes("Raw", "", "Path");
        var options = Options("Raw", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BadImages = BadImageHandling.Missing };
        using var model = load.Append(_mlContext.Transforms.SiglipFeaturizeImage(options)).Fit(data);

        // ML.NET runs such steps on threads of their own, where an error concerns no row in particular.
        IDataView loaded = load.Fit(data).Transform(data);
        foreach (Action read in (Action[])[() => _ = loaded.GetColumn<byte[]>("Raw").ToArray(), () => Vectors(model.Transform(data), "Embedding")])
            Assert.IsInstanceOfType<FileNotFoundException>(Assert.ThrowsExactly<InvalidOperationException>(read).InnerException);

        // The featurizer's own reading of files is the remedy; and bytes that are no image are a missing value here, too.
        using var itself = _mlContext.Transforms.SiglipFeaturizeImage(options with { InputColumnName = "Path" }).Fit(data);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding, [Images[0], Images[1]]);
        float[][] embeddings = Vectors(itself.Transform(data), "Embedding");
        AreClose(expected, [embeddings[0], embeddings[3]]);
        Assert.IsTrue(embeddings[1].Concat(embeddings[2]).All(float.IsNaN));

        IDataView found = Data(_mlContext, [Images[0], DamagedFile(), Images[1]]);
        embeddings = Vectors(model.Transform(found), "Embedding");
        AreClose(expected, [embeddings[0], embeddings[2]]);
        Assert.IsTrue(embeddings[1].All(float.IsNaN));
    }

    private SiglipImageFeaturizingEstimator Featurizer(string input, int batchSize) => _mlContext.Transforms.SiglipFeaturizeImage(
        Options(input, ("Embedding", SiglipOutputKind.PooledEmbedding)) with { BatchSize = batchSize });

    private static string DamagedFile()
    {
        string path = NewPath("damaged.png");
        File.WriteAllText(path, "no image");
        return path;
    }

    private static string CheckpointOf(Kind kind) => kind == Kind.Fixed ? Checkpoint : NaFlex;

    private IDataView Steps(IEstimator<ITransformer> steps) => steps.Fit(Data(_mlContext)).Transform(Data(_mlContext));

    /// <summary>The view, an engine and the loaded model give what the embedder gives for each picture by itself, whole batches in one forward pass.</summary>
    private void AssertEmbeds(IEstimator<ITransformer> steps, string input, string checkpoint, IReadOnlyList<RgbImage> pictures, bool savable = true)
    {
        float[][] expected = Embeddings(checkpoint, SiglipOutputKind.PooledEmbedding, pictures);
        IDataView data = Data(_mlContext);
        var options = Options(input, ("Embedding", SiglipOutputKind.PooledEmbedding)) with { Model = checkpoint, BatchSize = 3 };
        var pipeline = steps.Append(_mlContext.Transforms.SiglipFeaturizeImage(options));
        using var model = pipeline.Fit(data);
        SchemaShape.Column promised = pipeline.GetOutputSchema(EstimatorWorkout.ShapeOf(data.Schema)).Single(column => column.Name == "Embedding");
        Assert.AreEqual((SchemaShape.Column.VectorKind.Vector, NumberDataViewType.Single), (promised.Kind, promised.ItemType));
        AreClose(expected, Vectors(model.Transform(data), "Embedding"));
        Assert.AreEqual(Passes(pictures.Count, 3), FeaturizerOf(model).ForwardPasses);

        using (var engine = _mlContext.Model.CreatePredictionEngine<ImageRow, Embedded>(model, new PredictionEngineOptions { OwnsTransformer = false }))
        {
            AreSame(expected, [.. Images.Select((path, i) => engine.Predict(
                new ImageRow { Path = path, FileName = Path.GetFileName(path), Bytes = File.ReadAllBytes(path), Number = i }).Embedding)]);
        }

        if (!savable)
            return;
        using var loaded = (IDisposable)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);
        AreSame(Vectors(model.Transform(data), "Embedding"), Vectors(((ITransformer)loaded).Transform(data), "Embedding"));
    }

    public enum Kind
    {
        Fixed,
        NaFlex,
    }

    private sealed class Embedded
    {
        public float Number { get; set; }

        public float[] Embedding { get; set; } = [];
    }

    private sealed class MadePath
    {
        [ColumnName("MadePath")]
        public string MadePath_ { get; set; } = "";
    }

    private sealed class MadeImage
    {
        [ImageType(1, 1)] // ML.NET wants a size here, and never compares it with the image's
        public MLImage? Picture { get; set; }
    }

    private sealed class ImageWithoutSize
    {
        [ImageType]
        public MLImage? Picture { get; set; }
    }

    public sealed class MadeBytes
    {
        [ColumnName("MadeBytes")]
        public byte[] Encoded { get; set; } = [];
    }

    [CustomMappingFactoryAttribute("bytes of a file")]
    public sealed class BytesFactory : CustomMappingFactory<ImageRow, MadeBytes>
    {
        public override Action<ImageRow, MadeBytes> GetMapping() => (row, made) => made.Encoded = File.ReadAllBytes(row.Path);
    }
}
