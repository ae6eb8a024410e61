using System.Diagnostics;
using System.Text.Json.Nodes;
using Siglip.Core;
using TorchSharp;

namespace Siglip.Bench;

/// <summary>Siglip.MLNet as a peer: the model alone, on pixel values that are there already.</summary>
internal static class SiglipPeer
{
    public static JsonObject Versions() => new() { ["torchsharp"] = typeof(torch).Assembly.GetName().Version!.ToString(3) };

    /// <summary>A process that does a forward pass for each line.</summary>
    /// <param name="folder">Of a <see cref="PeerModel"/>.</param>
    /// <param name="batch">Images in a pass.</param>
    /// <param name="precision">In which the model computes.</param>
    public static int Answer(string folder, int batch, SiglipPrecision precision)
    {
        using var embedder = SiglipImageEmbedder.FromPretrained(folder, new SiglipImageEmbedderOptions { Precision = precision });
        PixelValueBatch images = embedder.CreateBatch();
        images.Ensure(batch - 1);
        for (int i = 0; i < batch; i++)
            images.Preprocess(i, PeerModel.Image((SiglipVisionConfig)embedder.Config, i));
        return AnsweringLoop.Run(Versions(), request =>
        {
            long start = Stopwatch.GetTimestamp();
            SiglipImageEmbeddings embeddings = embedder.Embed(images, batch, SiglipEmbeddingOutputs.PooledEmbedding);
            var answer = new JsonObject { ["milliseconds"] = Stopwatch.GetElapsedTime(start).TotalMilliseconds };
            if (request.ContainsKey("outputs"))
                answer["pooled"] = Peer.Encode([.. Enumerable.Range(0, batch).SelectMany(i => embeddings.Get(SiglipEmbeddingOutputs.PooledEmbedding, i).ToArray())]);
            return answer;
        });
    }
}
