using System.Buffers.Binary;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>Writes the rows and columns of patches of each image as an array of NumPy: int32 [images, 2], what transformers calls spatial_shapes.</summary>
internal static class SpatialShapesWriter
{
    /// <summary>The file beside one with patch embeddings: e.spatial_shapes.npy beside e.npy.</summary>
    public static string PathBeside(string output) => Path.ChangeExtension(output, ".spatial_shapes.npy");

    public static void Write(Stream stream, IReadOnlyCollection<SiglipPatchGrid> grids)
    {
        NpyHeader.Write(stream, "<i4", [grids.Count, 2]);
        Span<byte> bytes = stackalloc byte[2 * sizeof(int)];
        foreach (SiglipPatchGrid grid in grids)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes, grid.Rows);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[sizeof(int)..], grid.Columns);
            stream.Write(bytes);
        }
    }
}
