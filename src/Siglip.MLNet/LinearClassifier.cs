using Siglip.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.MLNet;

/// <summary>A linear layer and a softmax: an embedding becomes the probability of each class.</summary>
/// <param name="weight">[classes, hidden], row-major.</param>
/// <param name="bias">[classes].</param>
internal sealed class LinearClassifier(float[] weight, float[] bias)
{
    private const string WeightName = "classifier.weight", BiasName = "classifier.bias"; // as in transformers' checkpoints

    public int Classes => bias.Length;

    /// <summary>[classes, hidden], row-major.</summary>
    public float[] Weight => weight;

    /// <summary>[classes].</summary>
    public float[] Bias => bias;

    private bool IsFinite => weight.All(float.IsFinite) && bias.All(float.IsFinite);

    /// <summary>Copies the classifier of a model.</summary>
    /// <param name="stateDict">The model's; values of float32 that others own.</param>
    public static LinearClassifier From(IReadOnlyDictionary<string, Tensor> stateDict)
    {
        using DisposeScope scope = NewDisposeScope();
        return new LinearClassifier(Values(stateDict[WeightName]), Values(stateDict[BiasName]));

        static float[] Values(Tensor tensor) => tensor.detach().cpu().contiguous().data<float>().ToArray();
    }

    /// <summary>Reads a classifier.</summary>
    /// <param name="file">What is not as expected is refused before it is read.</param>
    /// <param name="classes">How many classes it must have.</param>
    /// <param name="hiddenSize">Length of what it classifies.</param>
    /// <exception cref="FormatException">It has other tensors, or values that are not finite.</exception>
    public static LinearClassifier Read(SafetensorsFile file, int classes, int hiddenSize)
    {
        Require(WeightName, [classes, hiddenSize]);
        Require(BiasName, [classes]);
        using DisposeScope scope = NewDisposeScope();
        var classifier = From(new Dictionary<string, Tensor> { [WeightName] = file.Read(WeightName), [BiasName] = file.Read(BiasName) });
        return classifier.IsFinite ? classifier : throw new FormatException("The saved SigLIP classifier is damaged: it has weights that are not finite.");

        void Require(string name, long[] shape)
        {
            if (!file.Tensors.TryGetValue(name, out SafetensorsEntry? entry) || entry.Dtype != ScalarType.Float32 || !entry.Shape.SequenceEqual(shape))
                throw new FormatException($"The saved SigLIP classifier is damaged: it has no tensor '{name}' of float32 with shape [{string.Join(", ", shape)}].");
        }
    }

    /// <summary>The two tensors under the names of transformers' checkpoints; they belong to the open scope.</summary>
    public (string Name, Tensor Value)[] ToTensors() =>
        [(WeightName, tensor(weight, [Classes, weight.Length / Classes]).clone()), (BiasName, tensor(bias).clone())];

    /// <summary>Computes the probabilities of the classes.</summary>
    /// <param name="embedding">[hidden].</param>
    /// <param name="probabilities">[classes].</param>
    /// <remarks>Sums are in double precision and in one order, so that neither memory addresses nor the processor decide about the last bit.</remarks>
    public void Apply(ReadOnlySpan<float> embedding, Span<float> probabilities)
    {
        double[] logits = new double[Classes];
        for (int label = 0; label < logits.Length; label++)
        {
            ReadOnlySpan<float> row = weight.AsSpan(label * embedding.Length, embedding.Length);
            double logit = bias[label];
            for (int i = 0; i < row.Length; i++)
                logit += (double)row[i] * embedding[i];
            logits[label] = logit;
        }

        double highest = logits.Max(), sum = 0;
        foreach (ref double logit in logits.AsSpan())
            sum += logit = Math.Exp(logit - highest);
        for (int label = 0; label < logits.Length; label++)
            probabilities[label] = (float)(logits[label] / sum);
    }
}
