using System.Runtime.InteropServices;
using System.Text.Json;

namespace Siglip.Core.Tests;

/// <summary>What transformers and Pillow computed, in the folder Reference.</summary>
internal static class ReferenceData
{
    /// <summary>The path of a reference file.</summary>
    public static string PathOf(params string[] parts) => Path.Combine([AppContext.BaseDirectory, "Reference", .. parts]);

    /// <summary>The tensors of a safetensors file.</summary>
    public static Dictionary<string, ReferenceTensor> Tensors(params string[] parts)
    {
        byte[] file = File.ReadAllBytes(PathOf(parts));
        int start = 8 + checked((int)BitConverter.ToInt64(file));
        using JsonDocument header = JsonDocument.Parse(file.AsMemory(8, start - 8));
        var tensors = new Dictionary<string, ReferenceTensor>();
        foreach (JsonProperty entry in header.RootElement.EnumerateObject().Where(entry => entry.Name != "__metadata__"))
        {
            int[] shape = [.. entry.Value.GetProperty("shape").EnumerateArray().Select(size => size.GetInt32())];
            JsonElement offsets = entry.Value.GetProperty("data_offsets");
            tensors.Add(entry.Name, new ReferenceTensor(shape, file[(start + offsets[0].GetInt32())..(start + offsets[1].GetInt32())]));
        }

        return tensors;
    }
}

/// <summary>A tensor as stored: row-major, little-endian.</summary>
internal sealed record ReferenceTensor(int[] Shape, byte[] Bytes)
{
    public float[] Singles => MemoryMarshal.Cast<byte, float>(Bytes).ToArray();
}
