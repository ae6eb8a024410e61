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

    public static IHostEnvironment EnvironmentOf(MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return CatalogUtils.GetEnvironment(catalog);
    }

    /// <summary>Where the context puts temporary files.</summary>
    public static string TempFolderOf(IHostEnvironment environment) =>
        environment is IHostEnvironmentInternal { TempFilePath: { Length: > 0 } folder } ? folder : Path.GetTempPath();

    /// <summary>The device that <see cref="MLContext"/> asks for.</summary>
    public static (int? GpuDeviceId, bool FallbackToCpu) DeviceOf(IHostEnvironment environment) =>
        environment is IHostEnvironmentInternal inner ? (inner.GpuDeviceId, inner.FallbackToCpu) : (null, true);

    /// <summary>The context's own environment; the environment itself where it has another origin.</summary>
    public static IHostEnvironment RootOf(IHostEnvironment environment) => environment switch
    {
        MLContext context => CatalogUtils.GetEnvironment(context.Transforms),
        HostEnvironmentBase<LocalEnvironment> local => local.Root,
        _ => environment,
    };

    public static void Inform(IHost host, string message)
    {
        using IChannel channel = host.Start("Siglip");
        channel.Info(message);
    }

    public static void Warn(IHost host, string message)
    {
        using IChannel channel = host.Start("Siglip");
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
