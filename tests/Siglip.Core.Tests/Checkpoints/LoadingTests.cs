using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

/// <summary>Weights go from the file into the parameters in one reading, in pieces, on all cores.</summary>
[TestClass]
public sealed class LoadingTests
{
    // Matrices of more values than are converted at once, and no multiple of that.
    private static readonly SiglipVisionConfig Config = new()
    {
        HiddenSize = 184,
        IntermediateSize = 200,
        NumHiddenLayers = 1,
        NumAttentionHeads = 2,
        ImageSize = 16,
        PatchSize = 4,
    };

    [TestMethod]
    [DataRow(ScalarType.Float32)]
    [DataRow(ScalarType.BFloat16)]
    [DataRow(ScalarType.Float16)]
    public void Every_parameter_has_the_stored_values_in_the_precision_asked_for(ScalarType storedDtype)
    {
        using var folder = new TemporaryFolder();
        using SiglipVisionModel saved = FormulaWeights.CreateModel(Config);
        saved.SavePretrained(folder.Path, storedDtype: storedDtype);
        foreach (SiglipPrecision precision in Enum.GetValues<SiglipPrecision>().Where(precision => precision != SiglipPrecision.Int8))
        {
            using DisposeScope scope = NewDisposeScope();
            using SiglipVisionModel loaded = SiglipVisionModel.FromPretrained(folder.Path, new SiglipLoadOptions { Precision = precision });
            Dictionary<string, Tensor> parameters = loaded.state_dict();
            foreach ((string name, Tensor value) in saved.state_dict())
            {
                Assert.AreEqual(precision.ToDtype(), parameters[name].dtype, name);
                Assert.IsTrue(value.detach().to(storedDtype).to(precision.ToDtype()).bytes.SequenceEqual(parameters[name].detach().bytes), $"{name}, {precision}");
            }
        }
    }

    [TestMethod]
    [DataRow("models/vision_only")]
    [DataRow("models/sharded")]
    [DataRow("models/full_model")]
    [DataRow("models/bf16")]
    [DataRow("naflex")]
    public void The_hash_of_the_reading_is_that_of_the_checkpoint(string folder)
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(ReferenceModels.PathOf(folder));
        TorchNative.Ensure();
        foreach (SiglipPrecision precision in (SiglipPrecision[])[SiglipPrecision.Float16, SiglipPrecision.Float32]) // read at once, and layer by layer
        {
            (nn.Module loaded, string sha256) = checkpoint.LoadForInference(precision, CPU);
            loaded.Dispose();

            Assert.AreEqual(checkpoint.ComputeModelSha256(), sha256);
        }
    }

    [TestMethod]
    [DataRow(SiglipPrecision.Float32)]
    [DataRow(SiglipPrecision.Int8)]
    public void A_fault_in_the_last_layer_leaves_nothing_of_those_that_were_packed(SiglipPrecision precision)
    {
        const string Last = "vision_model.encoder.layers.5.mlp.fc2.weight"; // in the second group that is read
        using var folder = new TemporaryFolder();
        using (SiglipVisionModel model = FormulaWeights.CreateModel(Config with { NumHiddenLayers = 6 }))
        using (no_grad())
        {
            model.state_dict()[Last][3] = double.NaN;
            model.SavePretrained(folder.Path);
        }

        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(folder.Path);
            var error = Assert.ThrowsExactly<InvalidDataException>(() => SiglipImageEmbedder.Load(checkpoint, new() { Precision = precision }));
            Assert.Contains(Last, error.Message);
        }));
    }

    [TestMethod]
    public void A_model_that_is_loaded_in_inference_mode_can_be_trained()
    {
        TorchNative.Ensure();
        SiglipVisionModel model;
        using (inference_mode())
            model = SiglipVisionModel.FromPretrained(ReferenceModels.Folder("vision_only"), new SiglipLoadOptions { Precision = SiglipPrecision.BFloat16 });
        using (model)
        using (NewDisposeScope())
        {
            model.call(zeros(1, 3, model.Config.ImageSize, model.Config.ImageSize)).sum().backward();
            Assert.IsNotNull(model.parameters().First().grad);
        }
    }

    [TestMethod]
    [DataRow(ScalarType.Float32)]
    [DataRow(ScalarType.BFloat16)]
    [DataRow(ScalarType.Float16)]
    public void Values_that_are_not_finite_are_found_wherever_they_are(ScalarType dtype)
    {
        TorchNative.Ensure();
        using DisposeScope scope = NewDisposeScope();
        Tensor values = randn(67).to(dtype); // some vectors, and some values after them
        values[0] = finfo(dtype).max; // all bits of the exponent but one
        Assert.IsTrue(FiniteValues.Only(values));
        for (int i = 0; i < 67; i++)
        {
            foreach (double bad in (double[])[double.NaN, double.PositiveInfinity, double.NegativeInfinity])
            {
                Tensor damaged = values.clone();
                damaged[i] = bad;
                Assert.IsFalse(FiniteValues.Only(damaged), $"{bad} at {i}");
            }
        }
    }
}
