using System.Diagnostics;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms.Onnx;
using Siglip.Core;

namespace Siglip.Bench;

/// <summary>ONNX Runtime as a peer: by itself, a batch at a time, and in ML.NET's ApplyOnnxModel, which runs it row by row.</summary>
internal static class OnnxAnswers
{
    private const string Output = "pooler_output";

    /// <summary>A process that does a forward pass for each line.</summary>
    /// <param name="folder">Of a <see cref="PeerModel"/>.</param>
    /// <param name="file">In it.</param>
    /// <param name="batch">Images in a pass.</param>
    /// <param name="threads">That one operator uses; 0 leaves it to ONNX Runtime.</param>
    public static int Session(string folder, string file, int batch, int threads)
    {
        float[] pixelValues = PeerModel.ReadPixelValues(folder, batch, PeerModel.ReadConfig(folder));
        using var peer = new OnnxPeer(Path.Combine(folder, file), threads, Output);
        return Answer(() => peer.Run(pixelValues, batch)[0]);
    }

    /// <inheritdoc cref="Session"/>
    public static int ApplyOnnxModel(string folder, string file, int batch, int threads)
    {
        SiglipVisionConfig config = PeerModel.ReadConfig(folder);
        float[] pixelValues = PeerModel.ReadPixelValues(folder, batch, config);
        Row[] rows = [.. pixelValues.Chunk(pixelValues.Length / batch).Select(image => new Row { PixelValues = image })];
        var context = new MLContext();
        SchemaDefinition schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.PixelValues)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, rows[0].PixelValues.Length);
        schema[nameof(Row.PixelValues)].ColumnName = ApplyOnnxPeer.Pixels;
        IDataView images = context.Data.LoadFromEnumerable(rows, schema);
        using OnnxTransformer model = context.Transforms.ApplyOnnxModel(ApplyOnnxPeer.Options(Path.Combine(folder, file), config.ImageSize, config.ImageSize, Output, threads)).Fit(images);
        return Answer(() => [.. model.Transform(images).GetColumn<float[]>(Output).SelectMany(pooled => pooled)]);
    }

    private static int Answer(Func<float[]> pass) => AnsweringLoop.Run(new JsonObject { ["onnxruntime"] = OnnxPeer.Version }, request =>
    {
        long start = Stopwatch.GetTimestamp();
        float[] pooled = pass();
        var answer = new JsonObject { ["milliseconds"] = Stopwatch.GetElapsedTime(start).TotalMilliseconds };
        if (request.ContainsKey("outputs"))
            answer["pooled"] = Peer.Encode(pooled);
        return answer;
    });

    private sealed class Row
    {
        public float[] PixelValues { get; set; } = [];
    }
}
