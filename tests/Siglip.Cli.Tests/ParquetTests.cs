using System.Text.Json.Nodes;
using Siglip.Core;
using Siglip.Core.Tests;

namespace Siglip.Cli.Tests;

[TestClass]
public sealed class ParquetTests
{
    [TestMethod]
    public async Task A_row_is_an_images_path_and_its_embedding()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 2);
        string[] common = ["--model", TestFolder.VisionOnly, "--normalize"];

        SiglipResult result = SiglipProcess.Run(folder.Path, ["embed", images, "--output", "e.parquet", .. common]).Succeeded();
        SiglipProcess.Run(folder.Path, ["embed", images, "--output", "e.npy", "--paths", "e.txt", .. common]).Succeeded();

        Assert.Contains("4 images to e.parquet: float32 [4, 64]", result.Output);
        ParquetTable table = await ParquetTable.ReadAsync(Path.Combine(folder.Path, "e.parquet"));
        CollectionAssert.AreEqual((string[])["path", "embedding/list/element"], table.Columns.ToArray());
        CollectionAssert.AreEqual(File.ReadAllLines(Path.Combine(folder.Path, "e.txt")), table.Rows.Select(row => row.Path).ToArray());
        CollectionAssert.AreEqual(EmbedTests.ReadNpy(Path.Combine(folder.Path, "e.npy"), "(4, 64)"), table.Rows.SelectMany(row => row.Embedding!).ToArray());
    }

    [TestMethod]
    public async Task The_metadata_say_what_the_embeddings_were_made_with()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 1);
        folder.CopyCheckpoint("my model");

        SiglipProcess.Run(folder.Path, "embed", images, "--output", "e.parquet", "--model", "my model", "--output-kind", "mean", "--precision", "bf16", "--image-size", "48",
            "--interpolate-pos-encoding").Succeeded();

        IReadOnlyDictionary<string, string> metadata = (await ParquetTable.ReadAsync(Path.Combine(folder.Path, "e.parquet"))).Metadata;
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(TestFolder.VisionOnly);
        Assert.AreEqual("my model", metadata["siglip.model"], "a folder's name, without its path");
        Assert.AreEqual(checkpoint.ComputeSha256(), metadata["siglip.weights_sha256"]);
        Assert.IsFalse(metadata.ContainsKey("siglip.revision"), "a folder has none");
        Assert.AreEqual("mean", metadata["siglip.output_kind"]);
        Assert.AreEqual("false", metadata["siglip.normalized"]);
        Assert.AreEqual("bfloat16", metadata["siglip.precision"]);
        Assert.AreEqual("pillow", metadata["siglip.image_backend"]);
        Assert.AreEqual("true", metadata["siglip.interpolate_pos_encoding"]);
        Assert.AreEqual(48, (int)JsonNode.Parse(metadata["siglip.preprocessing"])!["size"]!["height"]!);
        Assert.StartsWith("0.", metadata["siglip.library_version"]);
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux | OperatingSystems.OSX)] // Python's cache has symbolic links
    public async Task The_metadata_name_a_model_of_the_hub_and_its_commit()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 1), cache = Path.Combine(folder.Path, "hub"), commit = string.Concat(Enumerable.Repeat("0123abcdef", 4));
        PythonCache.Write(cache, "test/tiny", commit, Directory.GetFiles(TestFolder.VisionOnly).ToDictionary(file => Path.GetFileName(file), File.ReadAllBytes));

        SiglipProcess.RunWith([("HF_HUB_CACHE", cache)], folder.Path, "embed", images, "--output", "e.parquet", "--model", "test/tiny").Succeeded();

        IReadOnlyDictionary<string, string> metadata = (await ParquetTable.ReadAsync(Path.Combine(folder.Path, "e.parquet"))).Metadata;
        Assert.AreEqual("test/tiny", metadata["siglip.model"]);
        Assert.AreEqual(commit, metadata["siglip.revision"]);
    }

    [TestMethod]
    public async Task A_row_is_a_patch_and_what_could_not_be_read_is_null()
    {
        using var folder = new TestFolder();

        SiglipResult result = SiglipProcess.Run(folder.Path, "embed", TestFolder.TurnedPhoto, "gone.png", TestFolder.WideImage, "--output", "e.parquet", "--output-kind", "patches",
            "--on-error", "missing", "--model", TestFolder.NaFlex, "--max-num-patches", "6");

        Assert.AreEqual(3, result.ExitCode);
        ParquetTable table = await ParquetTable.ReadAsync(Path.Combine(folder.Path, "e.parquet"));
        CollectionAssert.AreEqual((string[])["path", "patch", "row", "column", "embedding/list/element"], table.Columns.ToArray());
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(TestFolder.NaFlex,
            new SiglipImageEmbedderOptions { Output = SiglipEmbeddingOutputs.PatchEmbeddings, MaxNumPatches = 6 });
        Assert.AreEqual(new ParquetRow("gone.png", null, null, null, null), table.Rows.Single(row => row.Path == "gone.png"));
        foreach (string image in (string[])[TestFolder.TurnedPhoto, TestFolder.WideImage])
        {
            SiglipPatchGrid grid = embedder.EmbedBatch([RgbImage.Load(image)], SiglipEmbeddingOutputs.PatchEmbeddings).PatchGrids[0];
            ParquetRow[] rows = [.. table.Rows.Where(row => row.Path == image)];
            CollectionAssert.AreEqual(Enumerable.Range(0, grid.Count).Select(i => (i, i / grid.Columns, i % grid.Columns)).ToArray(),
                rows.Select(row => (row.Patch!.Value, row.Row!.Value, row.Column!.Value)).ToArray());
            float[] expected = embedder.Embed(image), found = [.. rows.SelectMany(row => row.Embedding!)];
            Assert.HasCount(expected.Length, found);
            for (int i = 0; i < found.Length; i++)
                Assert.AreEqual(expected[i], found[i], 1e-5, "other batch sizes round differently");
        }
    }

    [TestMethod]
    public async Task A_pooled_embedding_that_is_missing_is_null_and_not_NaN()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 1);

        SiglipResult result = SiglipProcess.Run(folder.Path, "embed", "gone.png", images, "--output", "e.parquet", "--on-error", "missing", "--model", TestFolder.VisionOnly);

        Assert.AreEqual(3, result.ExitCode);
        ParquetTable table = await ParquetTable.ReadAsync(Path.Combine(folder.Path, "e.parquet"));
        CollectionAssert.AreEqual((bool[])[true, false, false], table.Rows.Select(row => row.Embedding is null).ToArray());
        Assert.IsTrue(table.Rows.Skip(1).All(row => row.Embedding!.Length == 64 && row.Embedding.All(float.IsFinite)));
    }

    [TestMethod]
    [DataRow(8, 3)]
    [DataRow(12, 2)]
    [DataRow(100, 1)]
    [DataRow(1, 5)]
    public async Task Row_groups_are_written_as_the_images_come(int valuesOfRowGroup, int rowGroups)
    {
        using var folder = new TestFolder();
        string path = Path.Combine(folder.Path, "e.parquet");
        float[][] embeddings = [[1, 2, 3, 4], [5, 6, 7, 8], [], [9, 10, 11, 12], [13, 14, 15, 16]];

        await using (FileStream stream = File.Create(path))
        {
            using var writer = new EmbeddingParquetWriter(stream, [4], new Dictionary<string, string> { ["key"] = "value" }, valuesOfRowGroup);
            foreach ((int i, float[] embedding) in embeddings.Index())
                writer.Write($"{i}.png", new SiglipImageEmbedding(i, embedding, new SiglipPatchGrid(1, 1), embedding.Length == 0 ? new InvalidDataException() : null));
        }

        ParquetTable table = await ParquetTable.ReadAsync(path);
        Assert.AreEqual(rowGroups, table.RowGroups);
        Assert.AreEqual("value", table.Metadata["key"]);
        CollectionAssert.AreEqual((string[])["0.png", "1.png", "2.png", "3.png", "4.png"], table.Rows.Select(row => row.Path).ToArray());
        foreach ((ParquetRow row, float[] embedding) in table.Rows.Zip(embeddings))
            CollectionAssert.AreEqual(embedding.Length == 0 ? null : embedding, row.Embedding);
    }

    [TestMethod]
    public async Task Without_images_a_file_has_no_rows()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 1);

        SiglipProcess.Run(folder.Path, "embed", images, "--output", "e.parquet", "--shard", "0/9", "--model", TestFolder.VisionOnly).Succeeded();

        Assert.IsEmpty((await ParquetTable.ReadAsync(Path.Combine(folder.Path, "e.parquet"))).Rows);
    }
}
