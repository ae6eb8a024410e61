using System.IO.Compression;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using Siglip.MLNet.Internals;
using TorchSharp;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class SavedClassifierTests
{
    private static readonly Lazy<byte[]> Saved = new(() =>
    {
        var mlContext = new MLContext(seed: 1);
        IDataView data = Colours.Keyed(mlContext);
        using var model = Colours.Trainer(mlContext, Colours.OneStep with { ScoreColumnName = "PredictedScore" }).Fit(data);
        return EstimatorWorkout.Save(mlContext, model, data.Schema);
    });

    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    public void A_loaded_classifier_has_all_settings()
    {
        IDataView data = Colours.Keyed(_mlContext, [.. Colours.Rows.Select(row => new ColourRow { Path = Path.GetFileName(row.Path), Class = row.Class })]);
        SiglipImageClassificationOptions options = Colours.OneStep with
        {
            ImageFolder = ImageFolder,
            BatchSize = 5,
            BadImages = BadImageHandling.Missing,
            ApplyExifOrientation = true,
            PredictedLabelColumnName = "Colour",
            ScoreColumnName = "Probabilities",
            Training = Colours.OneStep.Training with { ClassifierInput = SiglipClassifierInput.Pooled },
        };
        using var model = Colours.Trainer(_mlContext, options).Fit(data);
        using var loaded = (SiglipImageClassificationTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);

        FeaturizerSettings settings = loaded.Featurizer.Settings;
        Assert.AreEqual((ImageFolder, 5, BadImageHandling.Missing, true, "Colour"),
            (settings.ImageFolder, settings.BatchSize, settings.BadImages, settings.ApplyExifOrientation, loaded.PredictedLabelColumnName));
        Assert.AreEqual(KeyValuePair.Create("Probabilities", SiglipOutputKind.PooledEmbedding), settings.Columns.Single());
        AreSame(Vectors(model.Transform(data), "Probabilities"), Vectors(loaded.Transform(data), "Probabilities"));
        CollectionAssert.AreEqual(EstimatorWorkout.ShapeOf(model.GetOutputSchema(data.Schema)).Select(column => column.Name).ToArray(),
            EstimatorWorkout.ShapeOf(loaded.GetOutputSchema(data.Schema)).Select(column => column.Name).ToArray());
        string first = NewPath("classifier-saved"), second = NewPath("classifier-loaded");
        model.SavePretrained(first);
        loaded.SavePretrained(second);
        foreach (string file in (string[])["config.json", "preprocessor_config.json", "model.safetensors"])
            CollectionAssert.AreEqual(File.ReadAllBytes(Path.Combine(first, file)), File.ReadAllBytes(Path.Combine(second, file)), file);
    }

    [TestMethod]
    [DataRow("newer version", typeof(FormatException), "The saved SigLIP classifier has format 1.0.9, and this version of Siglip.MLNet reads formats 1.0.1 to 1.0.1. Update")]
    [DataRow("no classes", typeof(FormatException), "0 classes, from 1 to 1048576 are possible")]
    [DataRow("too many classes", typeof(FormatException), "2147483647 classes, from 1 to 1048576 are possible")]
    [DataRow("one class more", typeof(FormatException), "2 values of labels for 3 classes")]
    [DataRow("billions of values", typeof(FormatException), "2147483647 values of labels for 2 classes")]
    [DataRow("flag of the values", typeof(FormatException), "7 in place of true or false")]
    [DataRow("type of the values", typeof(FormatException), "the values of its labels")]
    [DataRow("same column twice", typeof(FormatException), "its two columns have the same name, 'PredictedScore'")]
    [DataRow("patches", typeof(FormatException), "does not give the one embedding that is classified")]
    [DataRow("one bit of the classifier", typeof(FormatException), "its classifier has SHA-256")]
    [DataRow("value that is no number", typeof(FormatException), "it has weights that are not finite")]
    [DataRow("shape of the classifier", typeof(FormatException), "no tensor 'classifier.weight' of float32 with shape [2, 16]")]
    [DataRow("no safetensors", typeof(InvalidDataException), "the saved classifier")]
    [DataRow("classifier missing", typeof(FormatException), "no entry 'Classifier'")]
    [DataRow("one bit of the model", typeof(FormatException), "its weights have SHA-256")]
    public void A_manipulated_classifier_is_refused(string what, Type type, string message)
    {
        using var stream = new MemoryStream();
        stream.Write(Saved.Value);
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Update, leaveOpen: true))
            Manipulate(zip, what);
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;

        Exception exception = Assert.ThrowsExactly<TargetInvocationException>(() => EstimatorWorkout.Load(_mlContext, stream.ToArray())).InnerException!;

        Assert.AreEqual(type, exception.GetType(), exception.ToString());
        Assert.Contains(message, exception.Message);
        Assert.AreEqual(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount, "the model that was loaded before is freed");
    }

    private static void Manipulate(ZipArchive zip, string what)
    {
        ZipArchiveEntry classifier = zip.Entries.Single(entry => entry.Name == "Classifier");
        ZipArchiveEntry key = Key("SIGLIPIC");
        int classes = Bytes(key).AsSpan().IndexOf((byte[])[0, 0, 0, 0, 2, 0, 0, 0, 1]) + 4; // after the first string's index; the number, and that values follow
        Assert.IsGreaterThan(4, classes);
        switch (what)
        {
            case "classifier missing":
                classifier.Delete();
                break;
            case "one bit of the classifier":
                Edit(classifier, bytes => bytes[^1] ^= 1);
                break;
            case "value that is no number": // with the right hash
                string before = Sha256(classifier);
                Edit(classifier, bytes => BitConverter.TryWriteBytes(bytes.AsSpan(bytes.Length - 4), float.NaN));
                Edit(key, bytes => Replace(bytes, Encoding.Unicode.GetBytes(before), Encoding.Unicode.GetBytes(Sha256(classifier))));
                break;
            case "no safetensors":
                Edit(classifier, bytes => bytes.AsSpan(0, 8).Fill(0xFF));
                break;
            case "shape of the classifier":
                Edit(classifier, bytes => Replace(bytes, "[2,16]"u8, "[16,2]"u8));
                break;
            case "one bit of the model":
                Edit(zip.Entries.Single(entry => entry.Name == "Weights"), bytes => bytes[^100] ^= 0x40);
                break;
            case "patches":
                Edit(Key("SIGLIPIF"), bytes =>
                {
                    int kind = bytes.AsSpan().IndexOf((byte[])[2, 0, 0, 0]);
                    while (BitConverter.ToInt32(bytes, kind - 8) != 1) // the number of columns
                        kind += 1 + bytes.AsSpan(kind + 1).IndexOf((byte[])[2, 0, 0, 0]);
                    bytes[kind] = 0;
                });
                break;
            case "same column twice": // of the names in the table of strings
                Edit(key, bytes => Replace(bytes, Encoding.Unicode.GetBytes("PredictedLabel"), Encoding.Unicode.GetBytes("PredictedScore")));
                break;
            case "newer version": // after the signature: version written, version needed to read
                Edit(key, bytes =>
                {
                    int signature = bytes.AsSpan().IndexOf("SIGLIPIC"u8);
                    for (int i = 0; i < 2; i++)
                        BitConverter.TryWriteBytes(bytes.AsSpan(signature + 8 + (4 * i)), 0x00010009u);
                });
                break;
            case "flag of the values":
                Edit(key, bytes => bytes[classes + 4] = 7);
                break;
            case "billions of values": // in place of those that were there, which are more bytes
                Edit(key, bytes => BillionsOfValues().CopyTo(bytes, classes + 5));
                break;
            case "type of the values":
                Edit(key, bytes => bytes.AsSpan(classes + 5, 8).Fill(0xFF));
                break;
            default:
                int number = what switch { "no classes" => 0, "too many classes" => int.MaxValue, _ => 3 };
                Edit(key, bytes => BitConverter.TryWriteBytes(bytes.AsSpan(classes), number));
                break;
        }

        ZipArchiveEntry Key(string signature) => zip.Entries.Single(entry => entry.Name == "Model.key" && Bytes(entry).AsSpan().IndexOf(Encoding.ASCII.GetBytes(signature)) >= 0);
    }

    // All of them empty, so that they are a few bytes.
    private static byte[] BillionsOfValues()
    {
        var values = new DataViewSchema.Annotations.Builder();
        values.Add("KeyValues", new VectorDataViewType(TextDataViewType.Instance, int.MaxValue), (ref VBuffer<ReadOnlyMemory<char>> value) => value = new(int.MaxValue, 0, [], []));
        var schema = new DataViewSchema.Builder();
        schema.AddColumn("Label", new KeyDataViewType(typeof(uint), int.MaxValue), values.ToAnnotations());
        using var stream = new MemoryStream();
        LabelValues.Of(schema.ToSchema()[0])!.Save(new MLContext(), stream);
        return stream.ToArray();
    }

    private static void Replace(byte[] bytes, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to)
    {
        int at = bytes.AsSpan().IndexOf(from);
        Assert.IsGreaterThanOrEqualTo(0, at);
        to.CopyTo(bytes.AsSpan(at));
    }

    private static string Sha256(ZipArchiveEntry entry) => Convert.ToHexStringLower(SHA256.HashData(Bytes(entry)));

    private static byte[] Bytes(ZipArchiveEntry entry)
    {
        using Stream stream = entry.Open();
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    }

    private static void Edit(ZipArchiveEntry entry, Action<byte[]> edit)
    {
        byte[] bytes = Bytes(entry);
        edit(bytes);
        using Stream stream = entry.Open();
        stream.SetLength(0);
        stream.Write(bytes);
    }
}
