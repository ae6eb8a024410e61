using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms;
using static Siglip.MLNet.Tests.Neighbours.Neighbourhood;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests.Neighbours;

/// <summary>What takes rows from an embedded view: filters, files, enumerations.</summary>
[TestClass]
public sealed class ConsumerTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    private static SiglipImageFeaturizingOptions Both => Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding), ("Mean", SiglipOutputKind.MeanPatchEmbedding)) with
    { BatchSize = 3 };

    private static SiglipImageFeaturizingOptions AllKinds => Options("Path", ("Patches", SiglipOutputKind.PatchEmbeddings), ("Embedding", SiglipOutputKind.PooledEmbedding),
        ("Mean", SiglipOutputKind.MeanPatchEmbedding), ("PatchCount", SiglipOutputKind.PatchCount), ("PatchGrid", SiglipOutputKind.PatchGrid)) with
    { Model = NaFlex, BatchSize = 3, BadImages = BadImageHandling.Missing };

    [TestMethod]
    public void CreateEnumerable_gives_rows_of_their_own_or_one_row_again_and_again()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Both).Fit(data);
        IDataView view = model.Transform(data);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding);

        Row[] own = [.. _mlContext.Data.CreateEnumerable<Row>(view, reuseRowObject: false)];
        AreClose(expected, [.. own.Select(row => row.Embedding)]);
        CollectionAssert.AreEqual(Enumerable.Range(0, Images.Count).Select(i => $"image {i}").ToArray(), own.Select(row => row.Name).ToArray());
        Assert.AreEqual(Passes(Images.Count, 3), model.ForwardPasses);

        int read = 0;
        foreach (Row row in _mlContext.Data.CreateEnumerable<Row>(view, reuseRowObject: true))
            AreClose([expected[read++]], [row.Embedding]);
        Assert.AreEqual(Images.Count, read);

        long before = model.ForwardPasses;
        CollectionAssert.AreEqual(own.Select(row => row.Name).ToArray(), _mlContext.Data.CreateEnumerable<NameOnly>(view, reuseRowObject: false).Select(row => row.Name).ToArray());
        Assert.AreEqual(before, model.ForwardPasses, "a class without the embedding asks for none");
        WithMore[] more = [.. _mlContext.Data.CreateEnumerable<WithMore>(view, reuseRowObject: false, ignoreMissingColumns: true)];
        AreClose(expected, [.. more.Select(row => row.Embedding)]);
        Assert.IsTrue(more.All(row => row.NotThere is null));
    }

    [TestMethod]
    public void CreateEnumerable_stopped_early_embeds_no_further_batch()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Both).Fit(data);

        AreClose(Expected(SiglipOutputKind.PooledEmbedding, [Images[0]]),
            [.. _mlContext.Data.CreateEnumerable<Row>(model.Transform(data), reuseRowObject: false).Take(1).Select(row => row.Embedding)]);
        Assert.AreEqual(1, model.ForwardPasses);
    }

    [TestMethod]
    public void TakeRows_and_SkipRows()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Both).Fit(data);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding);

        AreClose(expected[..4], Vectors(_mlContext.Data.TakeRows(model.Transform(data), 4), "Embedding"));
        Assert.AreEqual(2, model.ForwardPasses, "of three batches");
        AreClose(expected[4..], Vectors(_mlContext.Data.SkipRows(model.Transform(data), 4), "Embedding"));
        Assert.AreEqual(2 + 3, model.ForwardPasses, "rows skipped after the featurizer are embedded");
        AreClose(expected[4..], Vectors(model.Transform(_mlContext.Data.SkipRows(data, 4)), "Embedding"));
        Assert.AreEqual(2 + 3 + 1, model.ForwardPasses, "rows skipped before it are not");
        AreClose(expected[2..5], Vectors(_mlContext.Data.TakeRows(_mlContext.Data.SkipRows(model.Transform(data), 2), 3), "Embedding"));
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void FilterRowsByMissingValues_leaves_the_good_images(bool naFlex)
    {
        string[] paths = ["no-such-file.png", Images[0], "", Images[1], Images[2], "no-such-file-either.png"];
        IDataView data = Data(_mlContext, paths);
        SiglipImageFeaturizingOptions options = naFlex ? AllKinds : Both with { BadImages = BadImageHandling.Missing };
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);
        float[][] expected = Embeddings(options.Model, SiglipOutputKind.PooledEmbedding, Images.Take(3).Select(path => Core.RgbImage.Load(path)));
        foreach (string column in naFlex ? (string[])["Embedding", "Patches", "Mean", "PatchCount", "PatchGrid"] : ["Embedding", "Mean"])
        {
            IDataView good = _mlContext.Data.FilterRowsByMissingValues(model.Transform(data), column);
            AreClose(expected, Vectors(good, "Embedding"));
            CollectionAssert.AreEqual(new[] { "image 1", "image 3", "image 4" }, good.GetColumn<string>("Name").ToArray());
        }
    }

    [TestMethod]
    public void FilterRowsByColumn_on_the_number_of_patches_costs_nothing_by_itself()
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(AllKinds).Fit(data);
        IDataView view = model.Transform(data);
        float[] counts = [.. view.GetColumn<float>("PatchCount")];
        float bound = counts.Max();
        int[] left = [.. Enumerable.Range(0, counts.Length).Where(i => counts[i] >= bound)];
        IDataView many = _mlContext.Data.FilterRowsByColumn(view, "PatchCount", lowerBound: bound);

        CollectionAssert.AreEqual(left.Select(i => $"image {i}").ToArray(), many.GetColumn<string>("Name").ToArray());
        Assert.AreEqual(0, model.ForwardPasses);
        float[][] all = Vectors(view, "Embedding");
        AreSame([.. left.Select(i => all[i])], Vectors(many, "Embedding"));
        Assert.IsLessThan(counts.Length, left.Length);
    }

    [TestMethod]
    public void FilterByCustomPredicate_on_an_embedding()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Both).Fit(data);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding);
        float middle = expected.Select(row => row[0]).Order().ElementAt(3);

        IDataView above = _mlContext.Data.FilterByCustomPredicate<Row>(model.Transform(data), row => row.Embedding[0] < middle - Tolerance); // true is dropped
        AreClose([.. expected.Where(row => row[0] >= middle)], Vectors(above, "Embedding"));
    }

    [TestMethod]
    public void ShuffleRows_keeps_each_embedding_with_its_row()
    {
        IDataView images = ColoredImage.View(_mlContext, ColoredImage.Train);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Both).Fit(images);
        float[][] expected = Vectors(model.Transform(images), "Embedding");
        string[] paths = [.. ColoredImage.Train.Select(image => image.Path)];
        long before = model.ForwardPasses;

        PathAndEmbedding[] shuffled = [.. _mlContext.Data.CreateEnumerable<PathAndEmbedding>(
            _mlContext.Data.ShuffleRows(model.Transform(images), seed: 4, shufflePoolSize: 10), reuseRowObject: false)];

        Assert.AreEqual(2 * before, model.ForwardPasses);
        Assert.IsFalse(shuffled.Select(row => row.Path).SequenceEqual(paths));
        CollectionAssert.AreEquivalent(paths, shuffled.Select(row => row.Path).ToArray());
        AreSame([.. shuffled.Select(row => expected[Array.IndexOf(paths, row.Path)])], [.. shuffled.Select(row => row.Embedding)]);
    }

    [TestMethod]
    public void ShuffleRows_and_binary_files_drop_images_with_and_without_the_featurizer()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.LoadImages("Image", "", "Path").Append(_mlContext.Transforms.SiglipFeaturizeImage(Both with { InputColumnName = "Image" })).Fit(data);
        IDataView own = new TransformerChain<ITransformer>(model.First()).Transform(data), embedded = model.Transform(data);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding);

        foreach (IDataView view in (IDataView[])[own, embedded])
        {
            Assert.IsNotNull(view.Schema.GetColumnOrNull("Image"));
            Assert.IsNull(_mlContext.Data.ShuffleRows(view, seed: 1).Schema.GetColumnOrNull("Image"));
            Assert.IsNull(Plain(_mlContext, view).Schema.GetColumnOrNull("Image"));
        }

        AreClose(expected, Vectors(Plain(_mlContext, embedded), "Embedding"));
        Row[] shuffled = [.. _mlContext.Data.CreateEnumerable<Row>(_mlContext.Data.ShuffleRows(embedded, seed: 1), reuseRowObject: false)];
        AreClose([.. shuffled.Select(row => expected[int.Parse(row.Name["image ".Length..], null)])], [.. shuffled.Select(row => row.Embedding)]);
    }

    [TestMethod]
    public void A_binary_file_has_every_value_to_the_bit_and_the_types_with_their_dimensions()
    {
        IDataView data = Data(_mlContext, [NaFlexImages[0], "no-such-file.png", .. NaFlexImages.Skip(1)]);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(AllKinds).Append(_mlContext.Transforms.Conversion.MapValueToKey("Key", "Group")).Fit(data);
        IDataView view = model.Transform(data), loaded = Plain(_mlContext, view);

        CollectionAssert.AreEqual(view.Schema.Select(column => $"{column.Name} {column.Type}").ToArray(), loaded.Schema.Select(column => $"{column.Name} {column.Type}").ToArray());
        CollectionAssert.AreEqual(new[] { 22, 32 }, ((VectorDataViewType)loaded.Schema["Patches"].Type).Dimensions);
        foreach (string column in (string[])["Patches", "Embedding", "Mean", "PatchCount", "PatchGrid"])
        {
            float[][] values = Values(view, column), again = Values(loaded, column);
            CollectionAssert.AreEqual(values.SelectMany(row => row.Select(BitConverter.SingleToUInt32Bits)).ToArray(),
                again.SelectMany(row => row.Select(BitConverter.SingleToUInt32Bits)).ToArray(), column);
            Assert.IsTrue(again[1].All(float.IsNaN), column);
        }

        CollectionAssert.AreEqual(view.GetColumn<uint>("Key").ToArray(), loaded.GetColumn<uint>("Key").ToArray());
        CollectionAssert.AreEqual(view.GetColumn<string>("Path").ToArray(), loaded.GetColumn<string>("Path").ToArray());
    }

    [TestMethod]
    public void SaveAsBinary_reads_rows_twice_with_and_without_the_featurizer_unless_they_are_cached()
    {
        IDataView data = Data(_mlContext);
        int mapped = 0;
        var counting = _mlContext.Transforms.CustomMapping<NameOnly, Length>((row, made) => made.NameLength = row.Name.Length + (0 * Interlocked.Increment(ref mapped)), contractName: null);
        Plain(_mlContext, counting.Fit(data).Transform(data)); // first to choose the size of a block
        Assert.AreEqual(2 * Images.Count, mapped);

        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Both).Fit(data);
        int passes = Passes(Images.Count, 3);
        Plain(_mlContext, model.Transform(data));
        Assert.AreEqual(2 * passes, model.ForwardPasses);
        IDataView loaded = Plain(_mlContext, _mlContext.Data.Cache(model.Transform(data)));
        Assert.AreEqual(3 * passes, model.ForwardPasses);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(loaded, "Embedding"));
    }

    [TestMethod]
    public void A_text_file_can_be_read_again()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Both).Append(_mlContext.Transforms.SelectColumns("Name", "Embedding")).Fit(data);
        IDataView view = model.Transform(data);
        string path = NewPath("embedded.tsv");
        using (FileStream stream = File.Create(path))
            _mlContext.Data.SaveAsText(view, stream);

        IDataView loaded = _mlContext.Data.LoadFromTextFile(path,
            [new TextLoader.Column("Name", DataKind.String, 0), new TextLoader.Column("Embedding", DataKind.Single, 1, Hidden)], hasHeader: true);
        AreSame(Vectors(view, "Embedding"), Vectors(loaded, "Embedding"));
        CollectionAssert.AreEqual(view.GetColumn<string>("Name").ToArray(), loaded.GetColumn<string>("Name").ToArray());
    }

    [TestMethod]
    public void Preview()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.LoadImages("Image", "", "Path").Append(_mlContext.Transforms.SiglipFeaturizeImage(Both with { InputColumnName = "Image" })).Fit(data);
        DataDebuggerPreview preview = model.Transform(data).Preview(maxRows: 4);

        Assert.HasCount(4, preview.RowView);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding, Images.Take(4)),
            [.. preview.RowView.Select(row => ((VBuffer<float>)row.Values.Single(value => value.Key == "Embedding").Value).DenseValues().ToArray())]);
        AreClose(Expected(SiglipOutputKind.MeanPatchEmbedding, Images.Take(4)),
            [.. preview.ColumnView.Single(column => column.Column.Name == "Mean").Values.Select(value => ((VBuffer<float>)value).DenseValues().ToArray())]);
        Assert.AreEqual(2, FeaturizerOf(model).ForwardPasses, "of three batches");
    }

    [TestMethod]
    public void GetColumn_as_arrays_as_buffers_and_as_numbers()
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(AllKinds).Fit(data);
        IDataView view = model.Transform(data);
        float[][] expected = Embeddings(NaFlex, SiglipOutputKind.PooledEmbedding, NaFlexImages.Select(path => Core.RgbImage.Load(path)));

        AreClose(expected, [.. view.GetColumn<float[]>("Embedding")]);
        AreClose(expected, [.. view.GetColumn<VBuffer<float>>("Embedding").Select(value => value.DenseValues().ToArray())]);
        CollectionAssert.AreEqual(view.GetColumn<float[]>("PatchGrid").Select(grid => grid[0] * grid[1]).ToArray(), view.GetColumn<float>("PatchCount").ToArray());
        Assert.HasCount(22 * 32, view.GetColumn<float[]>("Patches").First());
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => view.GetColumn<float>("Embedding").ToArray());
    }

    [TestMethod]
    public void A_cache_fills_column_by_column_unless_they_are_named()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Both).Fit(data);
        float[][] pooled = Expected(SiglipOutputKind.PooledEmbedding), mean = Expected(SiglipOutputKind.MeanPatchEmbedding);
        int passes = Passes(Images.Count, 3);

        IDataView cached = _mlContext.Data.Cache(model.Transform(data));
        Assert.AreEqual(0, model.ForwardPasses);
        for (int i = 0; i < 2; i++)
        {
            AreClose(pooled, Vectors(cached, "Embedding"));
            AreClose(mean, Vectors(cached, "Mean"));
        }

        Assert.AreEqual(2 * passes, model.ForwardPasses, "one pass when the first column was asked for, one for the second");

        IDataView named = _mlContext.Data.Cache(model.Transform(data), "Embedding", "Mean");
        AreClose(pooled, Vectors(named, "Embedding"));
        AreClose(mean, Vectors(named, "Mean"));
        Assert.AreEqual(3 * passes, model.ForwardPasses);
    }

    [TestMethod]
    public void Embeddings_from_objects_need_their_length_to_train_on()
    {
        IDataView data = Data(_mlContext);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Both).Fit(data);
        Row[] rows = [.. _mlContext.Data.CreateEnumerable<Row>(model.Transform(data), reuseRowObject: false)];
        var trainer = _mlContext.Clustering.Trainers.KMeans("Embedding", numberOfClusters: 2);
        IDataView objects = _mlContext.Data.LoadFromEnumerable(rows);
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => trainer.Fit(objects)).Message, "VarVector");

        SchemaDefinition schema = SchemaDefinition.Create(typeof(Row));
        schema["Embedding"].ColumnType = model.Transform(data).Schema["Embedding"].Type;
        IDataView typed = _mlContext.Data.LoadFromEnumerable(rows, schema);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(typed, "Embedding"));
        Assert.HasCount(Images.Count, trainer.Fit(typed).Transform(typed).GetColumn<uint>("PredictedLabel").ToArray());
    }

    [TestMethod]
    public void A_model_saves_together_with_the_loader_of_its_data()
    {
        string file = NewPath("loader.tsv");
        File.WriteAllLines(file, Images.Select((path, i) => $"{i}\t{path}"));
        TextLoader text = _mlContext.Data.CreateTextLoader([new TextLoader.Column("Number", DataKind.Single, 0), new TextLoader.Column("Path", DataKind.String, 1)]);
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(Both).Append(_mlContext.Transforms.NormalizeMinMax("Normalized", "Mean")).Fit(text.Load(file));
        string zip = NewPath("loader.zip");
        _mlContext.Model.Save(model, text, zip);

        ITransformer loaded = _mlContext.Model.LoadWithDataLoader(zip, out IDataLoader<IMultiStreamSource> loader);
        AreSame(Vectors(model.Transform(text.Load(file)), "Normalized"), Vectors(loaded.Transform(loader.Load(file)), "Normalized"));
        CompositeDataLoader<IMultiStreamSource, TransformerChain<NormalizingTransformer>> composite = text.Append(model);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(composite.Load(new MultiFileSource(file)), "Embedding"));
        ((IDisposable)loaded).Dispose();
    }

    private class NameOnly
    {
        public string Name { get; set; } = "";
    }

    private sealed class Length
    {
        public float NameLength { get; set; }
    }

    private class Row : NameOnly
    {
        public float[] Embedding { get; set; } = [];
    }

    private sealed class WithMore : Row
    {
        public string? NotThere { get; set; }
    }

    private sealed class PathAndEmbedding
    {
        public string Path { get; set; } = "";

        public float[] Embedding { get; set; } = [];
    }
}
