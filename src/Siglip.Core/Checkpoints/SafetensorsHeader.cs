using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Reads the header of a safetensors file, which is not to be trusted before all of it is checked.</summary>
/// <remarks>Source: huggingface/safetensors, safetensors/src/tensor.rs, read_metadata and validate.</remarks>
internal static class SafetensorsHeader
{
    public const int PrefixLength = 8; // the header's length, little-endian
    public const long MaxLength = 100_000_000;
    public const string MetadataName = "__metadata__";
    private const int MaxDimensions = 64; // torch's limit

    private static ReadOnlySpan<byte> LfsPointer => "version https://git-lfs"u8;

    /// <summary>Checks what the file begins with: the header's length and its first character.</summary>
    /// <param name="beginning">The first bytes of the file, at least <see cref="PrefixLength"/>.</param>
    /// <param name="fileLength">Bytes of the file.</param>
    /// <param name="source">What error messages call the file.</param>
    /// <returns>The header's length.</returns>
    public static int CheckBeginning(ReadOnlySpan<byte> beginning, long fileLength, string source)
    {
        if (beginning.StartsWith(LfsPointer))
            throw new InvalidDataException($"{source} is a pointer of Git LFS, which stands for the real file, and not the file itself; fetch that, for example "
                + "with: git lfs pull");
        ulong announced = BinaryPrimitives.ReadUInt64LittleEndian(beginning);
        string advice = $"; the file is damaged or not safetensors ({FileBeginning.Describe(beginning)}), fetch it again.";
        if (announced > MaxLength)
            throw new InvalidDataException(string.Create(
                CultureInfo.InvariantCulture, $"{source}: the header has {announced:N0} bytes, at most {MaxLength:N0} are allowed{advice}"));
        if ((long)announced > fileLength - PrefixLength)
            throw CutOff(source, fileLength, PrefixLength + (long)announced);
        if (beginning.Length > PrefixLength && announced > 0 && beginning[PrefixLength] != (byte)'{')
            throw new InvalidDataException($"{source}: the header does not begin with '{{'{advice}");
        return (int)announced;
    }

    public static InvalidDataException CutOff(string source, long fileLength, long announced) =>
        new($"{source}: the file ends at byte {fileLength}, but its header announces {announced}: it is cut off; fetch it again.");

    public static (Dictionary<string, SafetensorsEntry> Tensors, Dictionary<string, string> Metadata) Parse(
        ReadOnlyMemory<byte> json, long fileLength, string source)
    {
        try
        {
            if (json.IsEmpty || json.Span[0] != (byte)'{')
                throw new InvalidDataException($"{source}: the header does not begin with '{{'; the file is damaged or not safetensors, fetch it again.");

            using JsonDocument document = JsonDocument.Parse(json);
            var tensors = new Dictionary<string, SafetensorsEntry>(StringComparer.Ordinal);
            Dictionary<string, string>? metadata = null;
            long dataStart = PrefixLength + json.Length;
            foreach (JsonProperty property in document.RootElement.EnumerateObject())
            {
                bool first = property.Name == MetadataName
                    ? metadata is null && (metadata = ReadMetadata(property.Value, source)) is not null
                    : tensors.TryAdd(property.Name, ReadEntry(property, dataStart, source));
                if (!first)
                    throw new InvalidDataException($"{source}: the header names '{Shorten(property.Name)}' twice; the file is damaged.");
            }

            CheckLayout(tensors, dataStart, fileLength, source);
            return (tensors, metadata ?? []);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: an escape sequence in a text that is no Unicode character.
            throw new InvalidDataException($"{source}: the header is not valid JSON ({JsonFields.Fault(e).TrimEnd('.')}); the file is damaged or not "
                + "safetensors.", e);
        }
    }

    private static Dictionary<string, string> ReadMetadata(JsonElement value, string source)
    {
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        if (value.ValueKind != JsonValueKind.Object)
            throw new InvalidDataException($"{source}: '{MetadataName}' is {Shorten(value.GetRawText())}, expected an object of texts.");
        foreach (JsonProperty property in value.EnumerateObject())
        {
            if (property.Value.ValueKind != JsonValueKind.String)
                throw new InvalidDataException($"{source}: '{MetadataName}' has {Shorten(property.Value.GetRawText())} for "
                    + $"'{Shorten(property.Name)}', expected a text.");
            if (!metadata.TryAdd(property.Name, property.Value.GetString()!))
                throw new InvalidDataException($"{source}: '{MetadataName}' names '{Shorten(property.Name)}' twice; the file is damaged.");
        }

        return metadata;
    }

    private static SafetensorsEntry ReadEntry(JsonProperty property, long dataStart, string source)
    {
        string what = $"{source}: tensor '{Shorten(property.Name)}'";
        if (property.Value.ValueKind != JsonValueKind.Object)
            throw new InvalidDataException($"{what} is {Shorten(property.Value.GetRawText())}, expected an object with dtype, "
                + "shape and data_offsets.");

        JsonElement? dtypeField = null, shapeField = null, offsetsField = null;
        foreach (JsonProperty field in property.Value.EnumerateObject())
        {
            ref JsonElement? slot = ref dtypeField;
            switch (field.Name)
            {
                case "dtype":
                    break;
                case "shape":
                    slot = ref shapeField;
                    break;
                case "data_offsets":
                    slot = ref offsetsField;
                    break;
                default:
                    throw new InvalidDataException($"{what} has a field '{Shorten(field.Name)}', expected dtype, shape and "
                        + "data_offsets only.");
            }

            if (slot is not null)
                throw new InvalidDataException($"{what} has '{field.Name}' twice; the file is damaged.");
            slot = field.Value;
        }

        if (dtypeField is { ValueKind: JsonValueKind.String } named && SafetensorsDtype.IsQuantized(named.GetString()!))
            throw new InvalidDataException($"{what} has dtype {Shorten(named.GetString()!)}, which holds quantized weights and is not read; use the "
                + "checkpoint with the original weights, in F32, F16 or BF16.");
        if (dtypeField is not { ValueKind: JsonValueKind.String } dtypeName || SafetensorsDtype.Find(dtypeName.GetString()!) is not { } dtype)
            throw new InvalidDataException($"{what} has dtype {Text(dtypeField)}, expected one of {SafetensorsDtype.AllNames}.");
        if (Numbers(shapeField) is not { } shape || shape.Length > MaxDimensions)
            throw new InvalidDataException($"{what} has shape {Text(shapeField)}, expected a list of at most {MaxDimensions} "
                + "whole numbers of at least 0.");
        if (Numbers(offsetsField) is not [var begin, var end] || begin > end)
            throw new InvalidDataException($"{what} has data_offsets {Text(offsetsField)}, expected its first byte and the byte "
                + "after its last one.");
        if (Bytes(shape, dtype) is not { } length)
            throw new InvalidDataException($"{what} has shape {Text(shapeField)}, which is more than any file can hold; the "
                + "file is damaged.");
        if (length != end - begin)
            throw new InvalidDataException($"{what} has data_offsets [{begin}, {end}], hence {end - begin} bytes, but its dtype "
                + $"{SafetensorsDtype.Name(dtype)} and shape {Text(shapeField)} need {length}; the file is damaged.");
        if (end > long.MaxValue - dataStart)
            throw new InvalidDataException($"{what} has data_offsets [{begin}, {end}], which is more than any file can hold; "
                + "the file is damaged.");
        return new SafetensorsEntry(dtype, shape, dataStart + begin, length);
    }

    // In the order of the offsets: no gap, no overlap, and the last tensor ends where the file ends.
    private static void CheckLayout(Dictionary<string, SafetensorsEntry> tensors, long dataStart, long fileLength, string source)
    {
        long at = dataStart;
        foreach ((string name, SafetensorsEntry entry) in tensors.OrderBy(pair => pair.Value.Offset).ThenBy(pair => pair.Value.Length))
        {
            if (entry.Offset != at)
                throw new InvalidDataException($"{source}: tensor '{Shorten(name)}' begins at data offset "
                    + $"{entry.Offset - dataStart}, expected {at - dataStart}: "
                    + $"there is {(entry.Offset > at ? "a gap before it" : "an overlap with the tensor before it")}; the file is damaged.");
            at = entry.Offset + entry.Length;
        }

        if (at > fileLength)
            throw CutOff(source, fileLength, at);
        if (at < fileLength)
            throw new InvalidDataException($"{source}: the file ends at byte {fileLength}, but its header announces {at}: "
                + $"{fileLength - at} bytes are left over; the file is damaged.");
    }

    // Null: no list of whole numbers of at least 0.
    private static long[]? Numbers(JsonElement? field)
    {
        if (field is not { ValueKind: JsonValueKind.Array } array)
            return null;
        var numbers = new List<long>();
        foreach (JsonElement item in array.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt64(out long number) || number < 0)
                return null;
            numbers.Add(number);
        }

        return [.. numbers];
    }

    // Null: more than a long can count, even if one of the sizes is 0, because torch multiplies the others.
    private static long? Bytes(long[] shape, ScalarType dtype)
    {
        Int128 product = SafetensorsDtype.Size(dtype);
        foreach (long size in shape)
        {
            product *= Math.Max(size, 1);
            if (product > long.MaxValue)
                return null;
        }

        return shape.Contains(0) ? 0 : (long)product;
    }

    private static string Text(JsonElement? field) => field is { } value ? Shorten(value.GetRawText()) : "(none)";

    private static string Shorten(string text) => text.Length > 80 ? text[..80] + "…" : text;
}
