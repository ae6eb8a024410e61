using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Siglip.MLNet.Internals;

/// <summary>What ML.NET's environment offers only to its own assemblies.</summary>
internal static class Environments
{
    public static IHostEnvironment EnvironmentOf(TransformsCatalog catalog)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return CatalogUtils.GetEnvironment(catalog);
    }

    /// <summary>The device that <see cref="MLContext"/> asks for.</summary>
    public static (int? GpuDeviceId, bool FallbackToCpu) DeviceOf(IHostEnvironment environment) =>
        environment is IHostEnvironmentInternal inner ? (inner.GpuDeviceId, inner.FallbackToCpu) : (null, true);

    public static void Warn(IHostEnvironment environment, string source, string message)
    {
        using IChannel channel = environment.Register(source).Start("Siglip");
        channel.Warning(message);
    }

    /// <summary>The exception that ML.NET's own transforms throw for a column of a wrong type.</summary>
    public static Exception SchemaMismatch(string parameter, string column, string expected, string actual) =>
        Contracts.ExceptSchemaMismatch(parameter, "input", column, expected, actual);

    /// <summary>The exception that ML.NET's own transforms throw for a missing column.</summary>
    public static Exception MissingColumn(string parameter, string column) =>
        Contracts.ExceptSchemaMismatch(parameter, "input", column);

    /// <summary>The column's type in ML.NET's words.</summary>
    public static string TypeOf(SchemaShape.Column column) => column.GetTypeString();

    public static SchemaShape.Column FloatColumn(string name, bool isVector) =>
        new(name, isVector ? SchemaShape.Column.VectorKind.Vector : SchemaShape.Column.VectorKind.Scalar, NumberDataViewType.Single, isKey: false);
}
