using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>A file of named tensors. Opening it reads and checks the header only.</summary>
/// <remarks>
/// Format: eight bytes with the header's length, a JSON header, the tensors' bytes without a gap (huggingface/safetensors). Any number of
/// threads may read from one instance. Where another thread disposes it meanwhile, a reader gets all bytes or an ObjectDisposedException.
/// </remarks>
public sealed class SafetensorsFile : IDisposable
{
    private const int ChunkLength = 1 << 20;
    private const int ConvertedAtOnce = 1 << 15; // values; torch converts so many on the thread that asks, more on threads of its own
    private const long MaxSpanLength = 1 << 30; // a span counts its bytes with an int; larger tensors are read in parts

    private readonly SafeFileHandle? _file;
    private readonly Stream? _stream;
    private readonly bool _leaveOpen;
    private readonly Lock _streamPosition = new();
    private volatile bool _disposed;

    private SafetensorsFile(SafeFileHandle? file, Stream? stream, string source, bool leaveOpen)
    {
        (_file, _stream, Source, _leaveOpen) = (file, stream, source, leaveOpen);
        Length = file is null ? stream!.Length : RandomAccess.GetLength(file);
        if (Length < SafetensorsHeader.PrefixLength)
            throw new InvalidDataException($"{source}: the file has {Length} bytes, which is too short for a safetensors "
                + "header; fetch it again.");

        Span<byte> beginning = stackalloc byte[(int)Math.Min(Length, 32)];
        ReadAt(0, beginning);
        byte[] header = new byte[SafetensorsHeader.CheckBeginning(beginning, Length, source)];
        ReadAt(SafetensorsHeader.PrefixLength, header);
        (Tensors, Metadata) = SafetensorsHeader.Parse(header, Length, source);
    }

    /// <summary>The tensors, by name.</summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Tensors { get; }

    /// <summary>The header's <c>__metadata__</c>; empty if there is none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>What error messages call the file.</summary>
    public string Source { get; }

    internal long Length { get; }

    /// <summary>Opens a file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is no safetensors file, or a damaged one; the message says what is wrong.</exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string fullPath = Path.GetFullPath(path);
        if (!File.Exists(fullPath))
            throw new FileNotFoundException($"The safetensors file '{fullPath}' does not exist.", fullPath);

        SafeFileHandle file = File.OpenHandle(fullPath, FileMode.Open, FileAccess.Read, FileShare.Read);
        try
        {
            return new SafetensorsFile(file, null, $"'{fullPath}'", leaveOpen: false);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Opens a stream, which begins where the file begins: at position 0.</summary>
    /// <param name="stream">Readable and seekable; while this instance lives, nobody else may move it.</param>
    /// <param name="source">What error messages call it.</param>
    /// <param name="leaveOpen">Whether <see cref="Dispose"/> leaves the stream open. If opening fails, the stream stays open.</param>
    /// <exception cref="ArgumentException">The stream cannot be read, or not be positioned.</exception>
    /// <exception cref="InvalidDataException">It is no safetensors file, or a damaged one; the message says what is wrong.</exception>
    public static SafetensorsFile Open(Stream stream, string source, bool leaveOpen = false)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(source);
        if (!stream.CanRead || !stream.CanSeek)
            throw new ArgumentException("The stream must be readable and seekable; copy it into a MemoryStream or a file first.", nameof(stream));
        return new SafetensorsFile(null, stream, source, leaveOpen);
    }

    /// <summary>Reads a tensor.</summary>
    /// <param name="name">One of <see cref="Tensors"/>.</param>
    /// <returns>A tensor on the CPU, of the stored type and shape, which the caller owns.</returns>
    /// <exception cref="KeyNotFoundException">There is no such tensor.</exception>
    /// <exception cref="ObjectDisposedException">The file is disposed.</exception>
    public Tensor Read(string name)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        SafetensorsEntry entry = Find(name);
        TorchNative.Ensure();
        Tensor tensor = empty([.. entry.Shape], entry.Dtype);
        try
        {
            ReadInto(name, tensor);
            return tensor;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }

    /// <summary>Writes a file for transformers; it appears under its name only when it is complete.</summary>
    /// <param name="path">The file; an existing one is replaced.</param>
    /// <param name="tensors">Names and values, of any device, in any order.</param>
    /// <exception cref="ArgumentException">A name occurs twice or is reserved, or a tensor has a type that safetensors does not have.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, IEnumerable<(string Name, Tensor Value)> tensors) => Write(path, tensors, metadata: null);

    /// <summary>Writes a file; it appears under its name only when it is complete.</summary>
    /// <param name="path">The file; an existing one is replaced.</param>
    /// <param name="tensors">Names and values, of any device, in any order.</param>
    /// <param name="metadata">Texts for the header; null: <c>format: pt</c>, which transformers expects.</param>
    /// <exception cref="ArgumentException">A name occurs twice or is reserved, or a tensor has a type that safetensors does not have.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, IEnumerable<(string Name, Tensor Value)> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        List<SafetensorsPart> parts = ToParts(tensors);
        using var staged = new StagedFiles();
        staged.Add(path, stream => Write(stream, parts, metadata));
        staged.Commit();
    }

    /// <summary>Writes the contents of a file to a stream.</summary>
    /// <param name="stream">Receives the bytes; stays open.</param>
    /// <param name="tensors">Names and values, of any device, in any order.</param>
    /// <param name="metadata">Texts for the header; null: <c>format: pt</c>, which transformers expects.</param>
    /// <exception cref="ArgumentException">A name occurs twice or is reserved, or a tensor has a type that safetensors does not have.</exception>
    public static void Write(Stream stream, IEnumerable<(string Name, Tensor Value)> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        ArgumentNullException.ThrowIfNull(stream);
        Write(stream, ToParts(tensors), metadata);
    }

    /// <summary>Closes the file.</summary>
    public void Dispose()
    {
        lock (_streamPosition)
        {
            _disposed = true;
            _file?.Dispose(); // a handle in use by another thread closes when that thread has finished
            if (!_leaveOpen)
                _stream?.Dispose();
        }
    }

    /// <summary>Reads a tensor into memory that exists already.</summary>
    /// <param name="name">One of <see cref="Tensors"/>.</param>
    /// <param name="destination">On the CPU, contiguous, of the stored number of values; of any floating-point type, if the stored one is one.</param>
    /// <param name="hash">Gets the bytes as they are stored; null: nobody does.</param>
    internal void ReadInto(string name, Tensor destination, IncrementalHash? hash = null)
    {
        SafetensorsEntry entry = Find(name);
        int size = SafetensorsDtype.Size(entry.Dtype), destinationSize = SafetensorsDtype.Size(destination.dtype);
        if (destination.numel() * size != entry.Length || destination.device_type != DeviceType.CPU || !destination.is_contiguous())
            throw new ArgumentException($"Tensor '{name}' does not fit the memory it is to be read into.", nameof(destination));

        // Piece by piece, so that what follows finds each one in the processor's cache, and a conversion needs no memory for the whole tensor.
        using Tensor? buffer = destination.dtype == entry.Dtype ? null : empty(ConvertedAtOnce, entry.Dtype);
        foreach ((long at, Tensor part) in Parts(destination, buffer is null ? ChunkLength : ConvertedAtOnce * destinationSize))
        {
            using (part)
            using (Tensor read = buffer?.narrow(0, 0, part.numel()) ?? part.alias())
            {
                ReadAt(entry.Offset + (at / destinationSize * size), read.bytes);
                hash?.AppendData(read.bytes);
                if (buffer is not null)
                    part.copy_(read);
            }
        }
    }

    /// <summary>The bytes of a part of the file, piece by piece; a piece is valid until the next one.</summary>
    internal IEnumerable<ReadOnlyMemory<byte>> Chunks(long offset, long length)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(ChunkLength);
        try
        {
            for (long end = offset + length; offset < end;)
            {
                int count = (int)Math.Min(buffer.Length, end - offset);
                ReadAt(offset, buffer.AsSpan(0, count));
                offset += count;
                yield return buffer.AsMemory(0, count);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>A tensor for a new file, converted to <paramref name="dtype"/> when it is written.</summary>
    internal static SafetensorsPart ToPart(string name, Tensor value, ScalarType dtype) => new(name, dtype, value.shape, stream =>
    {
        using DisposeScope scope = NewDisposeScope();
        foreach ((_, Tensor part) in Parts(value.detach().to(dtype).cpu().contiguous()))
            stream.Write(part.bytes);
    });

    internal static void Write(Stream stream, IReadOnlyCollection<SafetensorsPart> parts, IReadOnlyDictionary<string, string>? metadata)
    {
        SafetensorsPart[] ordered = [.. parts.OrderBy(part => SafetensorsDtype.Order(part.Dtype)).ThenBy(part => part.Name, StringComparer.Ordinal)];
        byte[] header = MakeHeader(ordered, metadata ?? new Dictionary<string, string> { ["format"] = "pt" });
        Span<byte> prefix = stackalloc byte[SafetensorsHeader.PrefixLength];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, (ulong)header.Length);
        stream.Write(prefix);
        stream.Write(header);
        foreach (SafetensorsPart part in ordered)
            part.WriteBytes(stream);
    }

    private static byte[] MakeHeader(SafetensorsPart[] ordered, IReadOnlyDictionary<string, string> metadata)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata.Count > 0)
            {
                json.WriteStartObject(SafetensorsHeader.MetadataName);
                foreach ((string name, string text) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                    json.WriteString(name, text);
                json.WriteEndObject();
            }

            long offset = 0;
            foreach (SafetensorsPart part in ordered)
            {
                json.WriteStartObject(part.Name);
                json.WriteString("dtype", SafetensorsDtype.Name(part.Dtype));
                json.WriteStartArray("shape");
                foreach (long size in part.Shape)
                    json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(offset += part.Shape.Aggregate((long)SafetensorsDtype.Size(part.Dtype), (product, size) => product * size));
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        buffer.Write("       "u8[..(-buffer.WrittenCount & 7)]); // so that the tensors begin at a multiple of eight
        return buffer.WrittenSpan.ToArray();
    }

    private static List<SafetensorsPart> ToParts(IEnumerable<(string Name, Tensor Value)> tensors)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        TorchNative.Ensure();
        var names = new HashSet<string>(StringComparer.Ordinal);
        var parts = new List<SafetensorsPart>();
        foreach ((string name, Tensor value) in tensors)
        {
            if (name is null || value is null)
                throw new ArgumentException("A name or a tensor is null.", nameof(tensors));
            if (name == SafetensorsHeader.MetadataName)
                throw new ArgumentException($"'{name}' is reserved for the header's texts; give the tensor another name.", nameof(tensors));
            if (!names.Add(name))
                throw new ArgumentException($"Two tensors have the name '{name}'; each name may occur once.", nameof(tensors));
            if (!SafetensorsDtype.Contains(value.dtype))
                throw new ArgumentException($"Tensor '{name}' has type {value.dtype}, which safetensors does not have; convert "
                    + "it to one of "
                    + $"{SafetensorsDtype.AllNames}.", nameof(tensors));
            parts.Add(ToPart(name, value, value.dtype));
        }

        return parts;
    }

    // Views of a contiguous tensor that a span can hold, with the byte at which each one begins.
    internal static IEnumerable<(long At, Tensor Part)> Parts(Tensor contiguous, long maxLength = MaxSpanLength)
    {
        long count = contiguous.numel(), size = SafetensorsDtype.Size(contiguous.dtype);
        using Tensor detached = contiguous.detach();
        using Tensor flat = detached.reshape(-1);
        for (long at = 0; at < count; at += maxLength / size)
            yield return (at * size, flat.narrow(0, at, Math.Min(maxLength / size, count - at)));
    }

    private SafetensorsEntry Find(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return Tensors.TryGetValue(name, out SafetensorsEntry? entry) ? entry : throw new KeyNotFoundException($"{Source} has no tensor '{name}'.");
    }

    private void ReadAt(long offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int count = ReadSome(offset, destination);
            if (count == 0)
                throw new InvalidDataException($"{Source}: the file became shorter while it was read; fetch it again.");
            offset += count;
            destination = destination[count..];
        }
    }

    private int ReadSome(long offset, Span<byte> destination)
    {
        if (_file is not null)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return RandomAccess.Read(_file, destination, offset);
        }

        lock (_streamPosition)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _stream!.Position = offset;
            return _stream.Read(destination);
        }
    }
}
