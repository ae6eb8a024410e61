using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using System.Reflection;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using TorchSharp;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class SaveLoadTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    public TestContext TestContext { get; set; } = null!;

    [TestMethod]
    public void A_loaded_model_has_all_settings_and_gives_the_same_bits()
    {
        IDataView data = Data(_mlContext, [.. Images.Select(path => Path.GetFileName(path)), "no-such-file.png"]);
        var options = Options("Path", ("A", SiglipOutputKind.MeanPatchEmbedding), ("B", SiglipOutputKind.PooledEmbedding)) with
        {
            ImageFolder = ImageFolder,
            BatchSize = 3,
            BadImages = BadImageHandling.Missing,
            Normalize = true,
            ApplyExifOrientation = true,
            FastDecode = true,
        };
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);
        using var loaded = (SiglipImageFeaturizingTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);

        CollectionAssert.AreEqual(model.Settings.Columns.ToArray(), loaded.Settings.Columns.ToArray());
        Assert.AreEqual(model.Settings with { Columns = loaded.Settings.Columns, Model = Path.GetFileName(Checkpoint) }, loaded.Settings);
        AreSame(Vectors(model.Transform(data), "A"), Vectors(loaded.Transform(data), "A"));
        AreSame(Vectors(model.Transform(data), "B"), Vectors(loaded.Transform(data), "B"));
    }

    [TestMethod]
    public void A_loaded_model_can_be_saved_again_to_the_same_bytes()
    {
        IDataView data = Data(_mlContext);
        string first = NewPath("first.zip"), second = NewPath("second.zip");
        using (var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", Checkpoint).Fit(data))
            _mlContext.Model.Save(model, data.Schema, first);
        ITransformer loaded = _mlContext.Model.Load(first, out DataViewSchema schema);
        _mlContext.Model.Save(loaded, schema, second);
        ((IDisposable)loaded).Dispose();

        CollectionAssert.AreEqual(WeightsIn(first), WeightsIn(second));
        Assert.IsGreaterThan(1000, WeightsIn(first).Length);
    }

    [TestMethod]
    public void A_model_with_embedded_weights_needs_no_checkpoint()
    {
        string folder = SaveCheckpoint("moved-away", Config, seed: 3);
        IDataView data = Data(_mlContext);
        string path = NewPath("self-contained.zip");
        float[][] expected;
        using (var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", folder).Fit(data))
        {
            expected = Vectors(model.Transform(data), "Embedding");
            Directory.Delete(folder, recursive: true);
            _mlContext.Model.Save(model, data.Schema, path);
        }

        ITransformer loaded = new MLContext().Model.Load(path, out _);
        AreSame(expected, Vectors(loaded.Transform(data), "Embedding"));
        ((IDisposable)loaded).Dispose();
    }

    [TestMethod]
    public async Task A_process_that_names_no_type_of_the_library_loads_the_model()
    {
        IDataView data = Data(_mlContext);
        var options = Options("ImagePath", ("Embedding", SiglipOutputKind.PooledEmbedding));
        var chain = _mlContext.Transforms.CopyColumns("ImagePath", "Path").Append(_mlContext.Transforms.SiglipFeaturizeImage(options));
        using var model = chain.Fit(data);
        string path = NewPath("child-process.zip");
        _mlContext.Model.Save(model.LastTransformer, model.GetOutputSchema(data.Schema), path);

        string[] lines = await RunLoaderAsync([path, "Embedding", .. Images]);

        float[][] actual = [.. lines.Select(line => line.Split(' ').Select(value => float.Parse(value, CultureInfo.InvariantCulture)).ToArray())];
        AreClose(Vectors(model.Transform(data), "Embedding"), actual);
    }

    [TestMethod]
    public void Without_embedded_weights_a_changed_checkpoint_is_refused_with_both_hashes()
    {
        string folder = SaveCheckpoint("by-reference", Config, seed: 4);
        IDataView data = Data(_mlContext);
        var options = Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { Model = folder, EmbedWeights = false };
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);
        string path = NewPath("by-reference.zip");
        _mlContext.Model.Save(model, data.Schema, path);
        Assert.IsLessThan(20_000, new FileInfo(path).Length);

        using (var loaded = (SiglipImageFeaturizingTransformer)_mlContext.Model.Load(path, out _))
            AreSame(Vectors(model.Transform(data), "Embedding"), Vectors(loaded.Transform(data), "Embedding"));

        string before = Hash(folder);
        Directory.Delete(folder, recursive: true);
        Exception missing = LoadFault(path);
        Assert.IsInstanceOfType<FileNotFoundException>(missing);
        StringAssert.Contains(missing.Message, folder);

        SaveCheckpoint("by-reference", Config, seed: 5);
        Exception changed = LoadFault(path);
        Assert.IsInstanceOfType<InvalidDataException>(changed);
        StringAssert.Contains(changed.Message, before);
        StringAssert.Contains(changed.Message, Hash(folder));
        Assert.AreNotEqual(before, Hash(folder));

        static string Hash(string folder)
        {
            using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(folder);
            return checkpoint.ComputeSha256();
        }
    }

    [TestMethod]
    public void A_model_of_a_machine_with_a_GPU_loads_where_there_is_none()
    {
        IDataView data = Data(_mlContext);
        var options = Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { GpuDeviceId = 0, FallbackToCpu = true };
        using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);

        var warnings = new List<string>();
        var mlContext = new MLContext();
        mlContext.Log += (_, entry) =>
        {
            if (entry.Message.Contains("GPU", StringComparison.Ordinal))
                warnings.Add(entry.Message);
        };
        using var loaded = (SiglipImageFeaturizingTransformer)EstimatorWorkout.SaveAndLoad(mlContext, model, data.Schema);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(loaded.Transform(data), "Embedding"));
        Assert.IsEmpty(warnings); // the CPU is what this context asks for
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void The_loading_context_chooses_the_device(bool inChain)
    {
        IDataView data = Data(_mlContext);
        var estimator = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", Checkpoint, SiglipOutputKind.PooledEmbedding);
        using IDisposable model = inChain
            ? _mlContext.Transforms.CopyColumns("Copy", "Path").Append(estimator).Fit(data)
            : estimator.Fit(data);

        Exception exception = Assert.Throws<Exception>(() => EstimatorWorkout.SaveAndLoad(
            new MLContext { GpuDeviceId = 98, FallbackToCpu = false }, (ITransformer)model, data.Schema));
        while (exception is TargetInvocationException)
            exception = exception.InnerException!;
        Assert.IsInstanceOfType<InvalidOperationException>(exception);
        StringAssert.Contains(exception.Message, "GPU device 98");
        StringAssert.Contains(exception.Message, "set MLContext.FallbackToCpu to true");

        ITransformer loaded = EstimatorWorkout.SaveAndLoad(new MLContext { GpuDeviceId = 98, FallbackToCpu = true }, (ITransformer)model, data.Schema);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(loaded.Transform(data), "Embedding"));
        ((IDisposable)loaded).Dispose();
    }

    [TestMethod]
    [DataRow("preprocessor_config.json", "\"image_mean\": [0.4, 0.5, 0.5]", "image_mean is [0.4,0.5,0.5] and was [0.5,0.5,0.5]")]
    [DataRow("config.json", "\"layer_norm_eps\": 0.5", "layer_norm_eps is 0.5 and was 1E-06")]
    public void Without_embedded_weights_a_changed_configuration_is_refused_by_name(string file, string field, string message)
    {
        string folder = SaveCheckpoint($"changed-{file}", Config, seed: 4), path = NewPath($"changed-{file}.zip");
        IDataView data = Data(_mlContext);
        var options = Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { Model = folder, EmbedWeights = false };
        using (var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data))
            _mlContext.Model.Save(model, data.Schema, path);
        string json = File.ReadAllText(Path.Combine(folder, file));
        JsonObject changed = JsonNode.Parse(json)!.AsObject();
        foreach ((string name, JsonNode? value) in JsonNode.Parse($"{{ {field} }}")!.AsObject())
            changed[name] = value!.DeepClone();
        File.WriteAllText(Path.Combine(folder, file), changed.ToJsonString());

        Exception exception = LoadFault(path);
        Assert.IsInstanceOfType<InvalidDataException>(exception);
        StringAssert.Contains(exception.Message, $"The {file} of '{folder}' is not the one that the model was saved with: {message}.");

        File.WriteAllText(Path.Combine(folder, file), json.Replace("\n", " ", StringComparison.Ordinal)); // another text with the same values
        ((IDisposable)_mlContext.Model.Load(path, out _)).Dispose();
    }

    [TestMethod]
    public void Without_embedded_weights_a_preprocessing_that_no_longer_fits_is_the_checkpoint_s_fault()
    {
        string folder = SaveCheckpoint("changed-size", Config, seed: 4), path = NewPath("changed-size.zip");
        IDataView data = Data(_mlContext);
        var options = Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { Model = folder, EmbedWeights = false };
        using (var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data))
            _mlContext.Model.Save(model, data.Schema, path);
        string file = Path.Combine(folder, "preprocessor_config.json");
        JsonObject changed = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        changed["size"]!["height"] = 7;
        File.WriteAllText(file, changed.ToJsonString());

        Exception exception = LoadFault(path);
        Assert.IsInstanceOfType<InvalidDataException>(exception);
        StringAssert.Contains(exception.Message, $"The checkpoint '{folder}' does not fit the saved model: The preprocessing makes images of 7 x ");
        Assert.IsFalse(exception.Message.Contains("damaged", StringComparison.Ordinal), exception.Message);
    }

    [TestMethod]
    public void Without_embedded_weights_a_checkpoint_that_is_gone_is_named_with_the_remedy()
    {
        IDataView data = Data(_mlContext);
        string folder = SaveCheckpoint("gone", Config, seed: 31), path = NewPath("gone.zip");
        using (var model = _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with
        {
            Model = folder,
            EmbedWeights = false,
        }).Fit(data))
            _mlContext.Model.Save(model, data.Schema, path);
        Directory.Delete(folder, recursive: true);

        Exception fault = LoadFault(path);
        Assert.IsInstanceOfType<FileNotFoundException>(fault);
        Assert.AreEqual($"The model was saved without weights, with a reference to the checkpoint folder '{folder}'; it does not exist. "
            + "Put the checkpoint there, or save the model with EmbedWeights.", fault.Message);
    }

    [TestMethod]
    public void A_folder_that_became_a_file_is_not_called_a_damaged_model()
    {
        string folder = SaveCheckpoint("becomes-a-file", Config, seed: 4), path = NewPath("becomes-a-file.zip");
        IDataView data = Data(_mlContext);
        var options = Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { Model = folder, EmbedWeights = false };
        using (var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data))
            _mlContext.Model.Save(model, data.Schema, path);
        Directory.Delete(folder, recursive: true);
        File.WriteAllText(folder, "");

        Exception exception = LoadFault(path);
        Assert.IsInstanceOfType<InvalidDataException>(exception);
        StringAssert.Contains(exception.Message, $"'{folder}' is a file");
        Assert.IsFalse(exception.Message.Contains("damaged", StringComparison.Ordinal), exception.Message);
        Assert.IsFalse(exception.Message.Contains("Parameter", StringComparison.Ordinal), exception.Message);
    }

    [TestMethod]
    public void A_reference_that_leads_out_of_the_cache_of_the_hub_is_refused()
    {
        string folder = SaveCheckpoint("hostile", Config, seed: 4), path = NewPath("hostile.zip");
        IDataView data = Data(_mlContext);
        var options = Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding)) with { Model = folder, EmbedWeights = false };
        using (var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data))
            _mlContext.Model.Save(model, data.Schema, path);
        string hostile = "test/tiny@../".PadRight(folder.Length, 'x');
        using (ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Update))
        {
            Edit(zip.Entries.Single(entry => entry.Name == "Model.key" && Contains(entry, "SIGLIPIF")),
                bytes => Encoding.Unicode.GetBytes(hostile).CopyTo(bytes.AsSpan(bytes.AsSpan().IndexOf(Encoding.Unicode.GetBytes(folder)))));
        }

        Exception exception = LoadFault(path);
        Assert.IsInstanceOfType<InvalidDataException>(exception);
        StringAssert.Contains(exception.Message, $"with a reference to '{hostile}'. '{hostile[10..]}' cannot be a revision of 'test/tiny'");
    }

    [TestMethod]
    public void A_model_with_embedded_weights_does_not_tell_where_it_was_made()
    {
        IDataView data = Data(_mlContext);
        string path = NewPath("anonymous.zip");
        using (var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", Checkpoint).Fit(data))
            _mlContext.Model.Save(model, data.Schema, path);

        using ZipArchive zip = ZipFile.OpenRead(path);
        byte[][] entries = [.. zip.Entries.Select(Read)];
        Assert.IsFalse(Found(Path.GetDirectoryName(Checkpoint)!));
        Assert.IsTrue(Found(Path.GetFileName(Checkpoint)));

        bool Found(string text) => entries.Any(bytes =>
            bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(text)) >= 0 || bytes.AsSpan().IndexOf(Encoding.Unicode.GetBytes(text)) >= 0);
    }

    [TestMethod]
    public void Half_precision_weights_are_saved_as_they_were()
    {
        string folder = SaveCheckpoint("half", Config, seed: 6), file = Path.Combine(folder, "model.safetensors");
        using (DisposeScope scope = torch.NewDisposeScope())
        {
            (string Name, torch.Tensor Value)[] tensors;
            using (SafetensorsFile weights = SafetensorsFile.Open(file))
                tensors = [.. weights.Tensors.Keys.Select(name => (name, weights.Read(name).to(torch.float16)))];
            SafetensorsFile.Write(file, tensors);
        }

        IDataView data = Data(_mlContext);
        string path = NewPath("half.zip");
        using var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Path", folder).Fit(data);
        _mlContext.Model.Save(model, data.Schema, path);
        using var loaded = (SiglipImageFeaturizingTransformer)_mlContext.Model.Load(path, out _);

        AreSame(Vectors(model.Transform(data), "Embedding"), Vectors(loaded.Transform(data), "Embedding"));
        Assert.IsLessThan(new FileInfo(file).Length + 10_000, WeightsIn(path).Length);
    }

    [TestMethod]
    public void A_file_that_is_no_model_is_refused()
    {
        string path = NewPath("no-model.zip");
        File.WriteAllText(path, "This is no zip.");
        Assert.ThrowsExactly<FormatException>(() => _mlContext.Model.Load(path, out _)); // ML.NET's own
    }

    [TestMethod]
    [DataRow("config.json", typeof(InvalidDataException), "expected")]
    [DataRow("kind", typeof(FormatException), "unknown kind")]
    [DataRow("batch size", typeof(FormatException), "at least 1")]
    [DataRow("huge batch size", typeof(FormatException), "too large")]
    [DataRow("column count", typeof(FormatException), "2147483647 output columns")]
    [DataRow("newer version", typeof(FormatException), "has format 1.0.9, and this version of Siglip.MLNet reads formats 1.0.1 to 1.0.4. Update Siglip.MLNet.")]
    [DataRow("older version", typeof(FormatException), "has format 1.0.0, and this version of Siglip.MLNet reads formats 1.0.1 to 1.0.4. Save the model again")]
    [DataRow("weights", typeof(InvalidDataException), "the saved model")]
    [DataRow("one bit of the weights", typeof(FormatException), "its weights have SHA-256")]
    [DataRow("weights missing", typeof(FormatException), "no entry 'Weights'")]
    public void A_manipulated_model_is_refused(string what, Type type, string message)
    {
        IDataView data = Data(_mlContext);
        var options = Options("Path", ("Embedding", (SiglipOutputKind)2)) with { BatchSize = 0x1234567 % 997 };
        string path = NewPath($"manipulated-{what}.zip");
        using (var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data))
            _mlContext.Model.Save(model, data.Schema, path);
        using (ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Update))
        {
            ZipArchiveEntry weights = zip.Entries.Single(entry => entry.Name == "Weights");
            if (what == "weights missing")
                weights.Delete();
            else if (what == "one bit of the weights")
                Edit(weights, bytes => bytes[^100] ^= 0x40);
            else if (what == "weights")
                Edit(weights, bytes => bytes.AsSpan(0, 8).Fill(0xFF));
            else
                Edit(zip.Entries.Single(entry => entry.FullName.Replace('\\', '/') is var name && name.EndsWith("Model.key", StringComparison.Ordinal)
                    && Contains(entry, "SIGLIPIF")), bytes => Manipulate(bytes, what, options.BatchSize));
        }

        Exception exception = LoadFault(path);
        Assert.AreEqual(type, exception.GetType(), exception.ToString());
        StringAssert.Contains(exception.Message, message);
    }

    [TestMethod]
    public void A_model_of_a_newer_format_that_says_that_this_version_can_read_it_is_read()
    {
        IDataView data = Data(_mlContext);
        string path = NewPath("newer-and-readable.zip");
        float[][] expected;
        using (var model = _mlContext.Transforms.SiglipFeaturizeImage(Options("Path", ("Embedding", SiglipOutputKind.PooledEmbedding))).Fit(data))
        {
            expected = Vectors(model.Transform(data), "Embedding");
            _mlContext.Model.Save(model, data.Schema, path);
        }

        using (ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Update))
        {
            Edit(zip.Entries.Single(entry => entry.Name == "Model.key" && Contains(entry, "SIGLIPIF")),
                bytes => BitConverter.TryWriteBytes(bytes.AsSpan(bytes.AsSpan().IndexOf("SIGLIPIF"u8) + 8), 0x00010009u)); // written; needed to read stays
        }

        using var loaded = (IDisposable)_mlContext.Model.Load(path, out _);
        AreSame(expected, Vectors(((ITransformer)loaded).Transform(data), "Embedding"));
    }

    /// <summary>ML.NET calls loaders through reflection and passes on what that makes of an exception.</summary>
    private Exception LoadFault(string path) =>
        Assert.ThrowsExactly<TargetInvocationException>(() => _mlContext.Model.Load(path, out _)).InnerException!;

    private static void Manipulate(byte[] bytes, string what, int batchSize)
    {
        int batch = bytes.AsSpan().LastIndexOf(BitConverter.GetBytes(batchSize));
        Assert.IsGreaterThan(0, batch);
        switch (what)
        {
            case "config.json":
                byte[] name = Encoding.Unicode.GetBytes("\"hidden_size\"");
                int at = bytes.AsSpan().IndexOf(name);
                Assert.IsGreaterThan(0, at);
                bytes[at + 2] = (byte)'x'; // without it the size is the default, which the weights do not fit
                break;
            case "newer version" or "older version": // after the signature: version written, version needed to read
                int signature = bytes.AsSpan().IndexOf("SIGLIPIF"u8);
                for (int i = 0; i < 2; i++)
                    BitConverter.TryWriteBytes(bytes.AsSpan(signature + 8 + (4 * i)), what == "newer version" ? 0x00010009u : 0x00010000u);
                break;
            case "batch size":
                BitConverter.TryWriteBytes(bytes.AsSpan(batch), -5);
                break;
            case "huge batch size":
                BitConverter.TryWriteBytes(bytes.AsSpan(batch), int.MaxValue);
                break;
            case "kind": // before it: model reference and image folder, one int each
                Assert.AreEqual(2, BitConverter.ToInt32(bytes, batch - 12));
                BitConverter.TryWriteBytes(bytes.AsSpan(batch - 12), 77);
                break;
            default: // before that: name of the column
                Assert.AreEqual(1, BitConverter.ToInt32(bytes, batch - 20));
                BitConverter.TryWriteBytes(bytes.AsSpan(batch - 20), int.MaxValue);
                break;
        }
    }

    private static bool Contains(ZipArchiveEntry entry, string signature) => Read(entry).AsSpan().IndexOf(Encoding.ASCII.GetBytes(signature)) >= 0;

    private static void Edit(ZipArchiveEntry entry, Action<byte[]> edit)
    {
        byte[] bytes = Read(entry);
        edit(bytes);
        using Stream stream = entry.Open();
        stream.SetLength(0);
        stream.Write(bytes);
    }

    private static byte[] Read(ZipArchiveEntry entry)
    {
        using Stream stream = entry.Open();
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    }

    private static byte[] WeightsIn(string path)
    {
        using ZipArchive zip = ZipFile.OpenRead(path);
        return Read(zip.Entries.Single(entry => entry.Name == "Weights"));
    }

    private async Task<string[]> RunLoaderAsync(string[] arguments)
    {
        // …/tests/Siglip.MLNet.Tests/bin/CONFIGURATION/… and …/samples/LoadModel/bin/CONFIGURATION/… have the same end.
        string here = Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory);
        string mine = Path.Combine("tests", "Siglip.MLNet.Tests", "bin");
        int at = here.LastIndexOf(mine, StringComparison.Ordinal);
        Assert.IsGreaterThanOrEqualTo(0, at, here);
        string program = Path.Combine(here[..at] + Path.Combine("samples", "LoadModel", "bin") + here[(at + mine.Length)..], "LoadModel.dll");
        Assert.IsTrue(File.Exists(program), $"'{program}' does not exist; it is built with this project.");

        var start = new ProcessStartInfo("dotnet", [program, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(TestContext.CancellationToken);
        Task<string> error = process.StandardError.ReadToEndAsync(TestContext.CancellationToken);
        await process.WaitForExitAsync(TestContext.CancellationToken);
        Assert.AreEqual(0, process.ExitCode, await error);
        return (await output).Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
