using System.IO.Compression;
using System.Reflection;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

/// <summary>Precision, image backend and image size: what the estimator makes of them, and what a saved model keeps.</summary>
[TestClass]
public sealed class ComputationOptionTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    private static SiglipImageFeaturizingOptions Both => Options("Path", ("Patches", SiglipOutputKind.PatchEmbeddings), ("Pooled", SiglipOutputKind.PooledEmbedding)) with
    { Model = VisionOnly };

    [TestMethod]
    [DataRow(48, 48)]
    [DataRow(40, 64)]
    [DataRow(29, 75)]
    public void Other_image_sizes_give_the_embedders_numbers_also_after_loading(int height, int width)
    {
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(VisionOnly, new SiglipImageEmbedderOptions
        {
            InterpolatePositionEncoding = true,
            ImageHeight = height,
            ImageWidth = width,
        });
        SiglipImageEmbeddings expected = embedder.EmbedBatch([.. NaFlexImages.Select(path => RgbImage.Load(path))],
            SiglipEmbeddingOutputs.PatchEmbeddings | SiglipEmbeddingOutputs.PooledEmbedding);
        IDataView data = Data(_mlContext, NaFlexImages);
        foreach (bool embedWeights in (bool[])[true, false])
        {
            var options = Both with { InterpolatePositionEncoding = true, ImageHeight = height, ImageWidth = width, EmbedWeights = embedWeights };
            using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);
            using var loaded = (SiglipImageFeaturizingTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);
            using var again = (SiglipImageFeaturizingTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, loaded, data.Schema);

            foreach (SiglipImageFeaturizingTransformer transformer in (SiglipImageFeaturizingTransformer[])[model, loaded, again])
            {
                IDataView transformed = transformer.Transform(data);
                Assert.AreEqual((true, height, width), (transformer.Settings.InterpolatePositionEncoding, transformer.Settings.ImageHeight, transformer.Settings.ImageWidth));
                Assert.AreEqual(new VectorDataViewType(NumberDataViewType.Single, height / 8 * (width / 8), 64), transformed.Schema["Patches"].Type);
                AreSame([.. expected.PatchEmbeddings!.Chunk(height / 8 * (width / 8) * 64)], Vectors(transformed, "Patches"));
                AreSame([.. expected.PooledEmbeddings!.Chunk(64)], Vectors(transformed, "Pooled"));
            }
        }
    }

    [TestMethod]
    [DataRow(SiglipPrecision.Float16)]
    [DataRow(SiglipPrecision.BFloat16)]
    public void A_loaded_model_computes_in_the_same_precision_to_the_same_bits(SiglipPrecision precision)
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        using var single = _mlContext.Transforms.SiglipFeaturizeImage(Both).Fit(data);
        float[][] inFloat32 = Vectors(single.Transform(data), "Pooled");
        foreach (string checkpoint in (string[])[VisionOnly, NaFlex])
        {
            foreach (bool embedWeights in (bool[])[true, false])
            {
                using var model = _mlContext.Transforms.SiglipFeaturizeImage(Both with { Model = checkpoint, Precision = precision, EmbedWeights = embedWeights }).Fit(data);
                using var loaded = (SiglipImageFeaturizingTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);

                Assert.AreEqual(precision, loaded.Settings.Precision);
                Assert.IsTrue(loaded.Embedder.Model.state_dict().Values.All(parameter => parameter.element_size() == 2));
                AreSame(Vectors(model.Transform(data), "Patches"), Vectors(loaded.Transform(data), "Patches"));
                AreSame(Vectors(model.Transform(data), "Pooled"), Vectors(loaded.Transform(data), "Pooled"));
                if (checkpoint != VisionOnly)
                    continue;
                AreClose(inFloat32, Vectors(loaded.Transform(data), "Pooled"), precision == SiglipPrecision.Float16 ? 0.02f : 0.2f); // as for Siglip.Core
                Assert.IsFalse(inFloat32[0].SequenceEqual(Vectors(loaded.Transform(data), "Pooled")[0]));
            }
        }
    }

    [TestMethod]
    public void With_torchvision_the_numbers_are_those_of_the_embedder_also_after_loading()
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        foreach (string checkpoint in (string[])[VisionOnly, NaFlex])
        {
            using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(checkpoint, new SiglipImageEmbedderOptions { ImageBackend = SiglipImageBackend.Torchvision });
            SiglipImageEmbeddings expected = embedder.EmbedBatch([.. NaFlexImages.Select(path => RgbImage.Load(path))], SiglipEmbeddingOutputs.PooledEmbedding);
            using var pillow = _mlContext.Transforms.SiglipFeaturizeImage(Both with { Model = checkpoint }).Fit(data);
            Assert.AreEqual(SiglipImageBackend.Pillow, pillow.Settings.ImageBackend);
            foreach (bool embedWeights in (bool[])[true, false])
            {
                var options = Both with { Model = checkpoint, ImageBackend = SiglipImageBackend.Torchvision, EmbedWeights = embedWeights };
                using var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data);
                using var loaded = (SiglipImageFeaturizingTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);

                Assert.AreEqual(SiglipImageBackend.Torchvision, loaded.Settings.ImageBackend);
                foreach (SiglipImageFeaturizingTransformer transformer in (SiglipImageFeaturizingTransformer[])[model, loaded])
                    AreSame([.. expected.PooledEmbeddings!.Chunk(embedder.Config.HiddenSize)], Vectors(transformer.Transform(data), "Pooled"));
                Assert.IsFalse(Vectors(pillow.Transform(data), "Pooled")[0].SequenceEqual(Vectors(loaded.Transform(data), "Pooled")[0]));
            }
        }
    }

    [TestMethod]
    public void In_half_precision_a_saved_model_has_half_the_size()
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        string single = NewPath("single.zip"), half = NewPath("half-precision.zip");
        foreach ((string path, SiglipPrecision precision) in ((string, SiglipPrecision)[])[(single, SiglipPrecision.Float32), (half, SiglipPrecision.BFloat16)])
        {
            using var model = _mlContext.Transforms.SiglipFeaturizeImage(Both with { Precision = precision }).Fit(data);
            _mlContext.Model.Save(model, data.Schema, path);
        }

        const int Header = 10_000; // names and shapes, the same in both
        Assert.IsLessThan((WeightsLength(single) / 2) + Header, WeightsLength(half));
        Assert.IsGreaterThan(2 * Header, WeightsLength(half));

        static long WeightsLength(string path)
        {
            using ZipArchive zip = ZipFile.OpenRead(path);
            return zip.Entries.Single(entry => entry.Name == "Weights").Length;
        }
    }

    [TestMethod]
    [DataRow(false, 48, null, null, "ImageHeight and ImageWidth ask for images of 48 x 32 pixels (height x width), the model expects 32 x 32.")]
    [DataRow(true, 7, null, null, "smaller than the model's patches of 8 x 8")]
    [DataRow(true, 32, 16385, null, "expected sides from 1 to 16384")]
    [DataRow(false, null, null, 5, "MaxNumPatches is 5, but the model has fixed resolution")]
    public void Sizes_that_do_not_fit_are_refused_when_the_estimator_is_made(bool interpolate, int? height, int? width, int? patches, string message)
    {
        var options = Both with { InterpolatePositionEncoding = interpolate, ImageHeight = height, ImageWidth = width, MaxNumPatches = patches };
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => _mlContext.Transforms.SiglipFeaturizeImage(options)).Message, message);
    }

    [TestMethod]
    public void Options_of_the_other_kind_of_model_and_unknown_values_are_refused()
    {
        var naFlex = Both with { Model = NaFlex };
        StringAssert.Contains(Message(naFlex with { ImageWidth = 64 }), "ImageHeight or ImageWidth is 64, but the model has variable resolution (NaFlex)");
        StringAssert.Contains(Message(naFlex with { InterpolatePositionEncoding = true }), "InterpolatePositionEncoding is set, but the model has variable resolution");
        StringAssert.Contains(Message(naFlex with { MaxNumPatches = 0 }), "max_num_patches is 0, expected a whole number from 1 to 65536");
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => _mlContext.Transforms.SiglipFeaturizeImage(Both with { Precision = (SiglipPrecision)9 }));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => _mlContext.Transforms.SiglipFeaturizeImage(Both with { ImageBackend = (SiglipImageBackend)2 }));
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentOutOfRangeException>(
            () => _mlContext.Transforms.SiglipFeaturizeImage(naFlex with { MaxNumPatches = 65536, BatchSize = 200 })).Message,
            "at most 170 images of this model fit in one batch"); // 65536 patches of 192 values

        string Message(SiglipImageFeaturizingOptions options) =>
            Assert.ThrowsExactly<ArgumentException>(() => _mlContext.Transforms.SiglipFeaturizeImage(options)).Message;
    }

    [TestMethod]
    [DataRow(0, "expected Float32, BFloat16, Float16 or Int8.")]
    [DataRow(1, "expected Pillow or Torchvision.")]
    [DataRow(2, "77 in place of true or false")]
    [DataRow(3, "expected sides from 1 to 16384")]
    [DataRow(7, "expected sides from 1 to 16384")]
    [DataRow(11, "MaxNumPatches is 1291845632, but the model has fixed resolution")]
    public void A_manipulated_model_is_refused(int offset, string message)
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        string path = NewPath($"manipulated-option-{offset}.zip");
        var options = Both with { Precision = SiglipPrecision.BFloat16, InterpolatePositionEncoding = true, ImageHeight = 0x2B0C % 997, ImageWidth = 0x1D07 % 991 };
        using (var model = _mlContext.Transforms.SiglipFeaturizeImage(options).Fit(data))
            _mlContext.Model.Save(model, data.Schema, path);
        using (ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Update))
        {
            ZipArchiveEntry entry = zip.Entries.Single(entry => entry.FullName.EndsWith("Model.key", StringComparison.Ordinal));
            byte[] bytes = new byte[entry.Length];
            using (Stream saved = entry.Open())
                saved.ReadExactly(bytes);
            byte[] sides = [.. BitConverter.GetBytes(options.ImageHeight!.Value), .. BitConverter.GetBytes(options.ImageWidth!.Value)];
            int at = bytes.AsSpan().IndexOf(sides) - 3; // of precision, image backend and interpolation
            Assert.IsGreaterThan(0, at);
            bytes[at + offset + (offset > 2 ? 3 : 0)] = 77; // of a number the highest byte
            using Stream stream = entry.Open();
            stream.Write(bytes);
        }

        Exception fault = Assert.ThrowsExactly<TargetInvocationException>(() => _mlContext.Model.Load(path, out _)).InnerException!;
        Assert.IsInstanceOfType<FormatException>(fault);
        StringAssert.Contains(fault.Message, message);
    }

    [TestMethod]
    [DataRow("version-1.0.1.zip")]
    [DataRow("version-1.0.2.zip")]
    public void A_model_that_an_earlier_version_saved_loads_and_gives_the_same_numbers(string file)
    {
        string folder = Path.Combine(AppContext.BaseDirectory, "Saved");
        using var loaded = (SiglipImageFeaturizingTransformer)_mlContext.Model.Load(Path.Combine(folder, file), out DataViewSchema schema);
        JsonElement expected = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "version-1.0.1.json"))).RootElement;
        string[] images = [.. expected.GetProperty("images").EnumerateArray().Select(name => Path.Combine(AppContext.BaseDirectory, "images", name.GetString()!)), "no-such-file.png"];
        IDataView data = _mlContext.Transforms.CopyColumns("ImagePath", "Path").Fit(Data(_mlContext, images)).Transform(Data(_mlContext, images));
        float[][] mean = Vectors(loaded.Transform(data), "Mean"), patches = Vectors(loaded.Transform(data), "Patches");

        Assert.AreEqual("ImagePath", schema.Single().Name);
        Assert.AreEqual(new FeaturizerSettings
        {
            InputColumnName = "ImagePath",
            Columns = loaded.Settings.Columns,
            Model = "no_head",
            BatchSize = 3,
            BadImages = BadImageHandling.Missing,
            Normalize = true,
            ApplyExifOrientation = true,
        }, loaded.Settings);
        AreClose(Numbers("Mean"), mean[..2], 1e-6f); // another version of torch may round otherwise
        AreClose(Numbers("Patches"), [.. patches[..2].Select(values => values[..64])], 1e-6f);
        Assert.IsTrue(mean[2].All(float.IsNaN));

        using var saved = (SiglipImageFeaturizingTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, loaded, data.Schema); // in the present format
        AreSame(mean[..2], Vectors(saved.Transform(data), "Mean")[..2]);

        float[][] Numbers(string column) => [.. expected.GetProperty(column).EnumerateArray().Select(row => row.EnumerateArray().Select(value => value.GetSingle()).ToArray())];
    }
}
