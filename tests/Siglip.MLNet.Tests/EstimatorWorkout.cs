using System.Runtime.CompilerServices;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace Siglip.MLNet.Tests;

/// <summary>What tests of the estimator do again and again.</summary>
internal static class EstimatorWorkout
{
    public static ITransformer SaveAndLoad(MLContext mlContext, ITransformer transformer, DataViewSchema inputSchema) =>
        Load(mlContext, Save(mlContext, transformer, inputSchema));

    public static byte[] Save(MLContext mlContext, ITransformer transformer, DataViewSchema inputSchema)
    {
        using var stream = new MemoryStream();
        mlContext.Model.Save(transformer, inputSchema, stream);
        return stream.ToArray();
    }

    public static ITransformer Load(MLContext mlContext, byte[] saved)
    {
        using var stream = new MemoryStream(saved);
        return mlContext.Model.Load(stream, out _);
    }

    public static SchemaShape ShapeOf(DataViewSchema schema) => CreateShape(null, schema);

    /// <summary>The values of a vector, or the one of a scalar.</summary>
    public static float[] ReadVector(DataViewRow row, DataViewSchema.Column column) => (float[])RowValues.Reader(row, column)();

    [UnsafeAccessor(UnsafeAccessorKind.StaticMethod, Name = "Create")]
    private static extern SchemaShape CreateShape(SchemaShape? owner, DataViewSchema schema);
}
