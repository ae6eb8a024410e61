using System.Buffers.Binary;
using System.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core.Tests;

[TestClass]
public sealed class SafetensorsFileTests
{
    private static readonly ScalarType[] AllDtypes =
    [
        ScalarType.Float64, ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16, ScalarType.Int64, ScalarType.Int32, ScalarType.Int16,
        ScalarType.Int8, ScalarType.Byte, ScalarType.Bool,
    ];

    [TestMethod]
    public void A_pointer_of_Git_LFS_is_told_from_a_damaged_file()
    {
        using var stream = new MemoryStream("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 812672320\n"u8.ToArray());

        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(() => SafetensorsFile.Open(stream, "the file"));

        Assert.StartsWith("the file is a pointer of Git LFS", error.Message);
        Assert.EndsWith("git lfs pull", error.Message);
    }

    [TestMethod]
    public void A_file_of_another_kind_is_described_by_its_beginning()
    {
        using var stream = new MemoryStream("<!DOCTYPE html><html></html>"u8.ToArray());

        Assert.Contains("it begins with the text \"<!DOCTYPE html>", Assert.ThrowsExactly<InvalidDataException>(() => SafetensorsFile.Open(stream, "the file")).Message);
    }

    [TestMethod]
    public void Every_dtype_survives_writing_and_reading_to_the_bit()
    {
        TorchNative.Ensure();
        using var folder = new TemporaryFolder();
        using DisposeScope scope = NewDisposeScope();
        (string, Tensor)[] tensors =
        [
            .. AllDtypes.Select(dtype => ($"all.{dtype}", (arange(-6, 6) * 1.37).reshape(3, 4).to(dtype))),
            ("scalar", tensor(4.5f)),
            ("empty", zeros(0, 3)),
            ("ümlaut \"quoted\" 名", ones(2)),
            ("not contiguous", arange(6, dtype: float32).reshape(2, 3).t()),
            ("needs gradients", ones(2, requires_grad: true)),
        ];
        SafetensorsFile.Write(folder.File("a.safetensors"), tensors);

        using SafetensorsFile file = SafetensorsFile.Open(folder.File("a.safetensors"));
        Assert.HasCount(tensors.Length, file.Tensors);
        Assert.AreEqual("pt", file.Metadata["format"]);
        foreach ((string name, Tensor value) in tensors)
        {
            Tensor read = file.Read(name);
            Assert.AreEqual(value.dtype, read.dtype, name);
            CollectionAssert.AreEqual(value.shape, read.shape, name);
            CollectionAssert.AreEqual(value.detach().contiguous().bytes.ToArray(), read.bytes.ToArray(), name);
        }
    }

    [TestMethod]
    [DataRow("vision_only")]
    [DataRow("odd_size")]
    [DataRow("bf16")]
    [DataRow("full_model")]
    [DataRow("no_prefix")]
    public void What_the_safetensors_library_wrote_is_written_again_byte_for_byte(string model)
    {
        string path = Path.Combine(ReferenceModels.Folder(model), "model.safetensors");
        using SafetensorsFile file = SafetensorsFile.Open(path);
        using DisposeScope scope = NewDisposeScope();
        using var written = new MemoryStream();
        SafetensorsFile.Write(written, file.Tensors.Keys.Reverse().Select(name => (name, file.Read(name))), file.Metadata);
        CollectionAssert.AreEqual(File.ReadAllBytes(path), written.ToArray());
    }

    [TestMethod]
    public void Tensors_begin_at_a_multiple_of_eight_and_are_sorted_by_dtype_and_name()
    {
        TorchNative.Ensure();
        using DisposeScope scope = NewDisposeScope();
        for (int nameLength = 1; nameLength < 10; nameLength++)
        {
            using var stream = new MemoryStream();
            SafetensorsFile.Write(stream, [("b", ones(1, dtype: uint8)), ("z" + new string('x', nameLength), ones(1)), ("a", ones(1)), ("c", ones(1, dtype: int64))], null);
            Assert.AreEqual(0UL, BinaryPrimitives.ReadUInt64LittleEndian(stream.ToArray()) % 8);
            using SafetensorsFile file = SafetensorsFile.Open(stream, "the stream");
            CollectionAssert.AreEqual((string[])["c", "a", "z" + new string('x', nameLength), "b"],
                file.Tensors.OrderBy(pair => pair.Value.Offset).Select(pair => pair.Key).ToArray());
        }
    }

    [TestMethod]
    public void Threads_may_read_at_the_same_time()
    {
        string path = Path.Combine(ReferenceModels.Folder("vision_only"), "model.safetensors");
        using SafetensorsFile ofPath = SafetensorsFile.Open(path), ofStream = SafetensorsFile.Open(new MemoryStream(File.ReadAllBytes(path)), "the stream");
        byte[] bytes = File.ReadAllBytes(path);
        string[] names = [.. ofPath.Tensors.Keys];
        foreach (SafetensorsFile file in (SafetensorsFile[])[ofPath, ofStream])
        {
            Parallel.For(0, 400, i =>
            {
                string name = names[i % names.Length];
                using Tensor tensor = file.Read(name);
                SafetensorsEntry entry = file.Tensors[name];
                Assert.IsTrue(tensor.bytes.SequenceEqual(bytes.AsSpan((int)entry.Offset, (int)entry.Length)), name);
            });
        }
    }

    [TestMethod]
    public void Large_tensors_are_read_and_written_in_parts_that_cover_them()
    {
        TorchNative.Ensure();
        using Tensor tensor = arange(10, dtype: float32).reshape(2, 5);
        var values = new List<float>();
        long expectedAt = 0;
        foreach ((long at, Tensor part) in SafetensorsFile.Parts(tensor, maxLength: 16))
        {
            Assert.AreEqual(expectedAt, at);
            Assert.IsLessThanOrEqualTo(16, part.bytes.Length);
            expectedAt += part.bytes.Length;
            values.AddRange(ReferenceModels.Values(part));
            part.Dispose();
        }

        CollectionAssert.AreEqual(ReferenceModels.Values(tensor), values);
    }

    [TestMethod]
    public void Reading_and_writing_leave_no_tensor_behind()
    {
        string path = Path.Combine(ReferenceModels.Folder("vision_only"), "model.safetensors");
        Assert.AreEqual(0, TensorCount.LeftBy(() =>
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            using Tensor tensor = file.Read(file.Tensors.Keys.First());
            SafetensorsFile.Write(new MemoryStream(), [("a", tensor)], null);
        }));
    }

    [TestMethod]
    public void Failed_writing_leaves_the_old_file_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("a.safetensors");
        File.WriteAllText(path, "old");

        Assert.ThrowsExactly<InvalidOperationException>(() => SafetensorsFile.Write(path, Fail()));
        using (var staged = new StagedFiles())
        {
            Assert.ThrowsExactly<InvalidOperationException>(() => staged.Add(path, stream =>
            {
                stream.WriteByte(1);
                throw new InvalidOperationException("while writing");
            }));
        }

        CollectionAssert.AreEqual((string[])[path], Directory.GetFiles(folder.Path));
        Assert.AreEqual("old", File.ReadAllText(path));

        static IEnumerable<(string, Tensor)> Fail()
        {
            yield return ("a", ones(1));
            throw new InvalidOperationException("in the middle");
        }
    }

    [TestMethod]
    public void Writing_where_nothing_can_be_written_says_so()
    {
        TorchNative.Ensure();
        using var folder = new TemporaryFolder();
        using Tensor one = ones(1);
        IOException error = Assert.ThrowsExactly<IOException>(() => SafetensorsFile.Write(folder.File("missing/a.safetensors"), [("a", one)]));
        Assert.Contains($"'{folder.File("missing/a.safetensors")}' cannot be written: ", error.Message);
        Assert.Contains("Choose a folder that may be written to", error.Message);
    }

    [TestMethod]
    public void Names_must_differ_and_types_must_be_known()
    {
        TorchNative.Ensure();
        using Tensor one = ones(1), complex = zeros(1, dtype: complex64);
        ArgumentException Error(params (string, Tensor)[] tensors) =>
            Assert.ThrowsExactly<ArgumentException>(() => SafetensorsFile.Write(new MemoryStream(), tensors, null));
        Assert.Contains("Two tensors have the name 'a'", Error(("a", one), ("a", one)).Message);
        Assert.Contains("'__metadata__' is reserved", Error(("__metadata__", one)).Message);
        Assert.Contains("Tensor 'c' has type ComplexFloat32, which safetensors does not have", Error(("c", complex)).Message);
    }

    [TestMethod]
    public void An_unknown_tensor_is_refused_by_name()
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(ReferenceModels.Folder("vision_only"), "model.safetensors"));
        Assert.Contains("has no tensor 'nobody'", Assert.ThrowsExactly<KeyNotFoundException>(() => file.Read("nobody")).Message);
    }

    [TestMethod]
    public void Nothing_is_read_after_disposal()
    {
        string path = Path.Combine(ReferenceModels.Folder("vision_only"), "model.safetensors");
        SafetensorsFile ofPath = SafetensorsFile.Open(path), ofStream = SafetensorsFile.Open(new MemoryStream(File.ReadAllBytes(path)), "the stream");
        foreach (SafetensorsFile file in (SafetensorsFile[])[ofPath, ofStream])
        {
            file.Dispose();
            file.Dispose();
            Assert.ThrowsExactly<ObjectDisposedException>(() => file.Read(file.Tensors.Keys.First()));
        }
    }

    [TestMethod]
    public void A_stream_stays_open_if_asked()
    {
        using var stream = new MemoryStream(File.ReadAllBytes(Path.Combine(ReferenceModels.Folder("vision_only"), "model.safetensors")));
        SafetensorsFile.Open(stream, "the stream", leaveOpen: true).Dispose();
        Assert.IsTrue(stream.CanRead);
        SafetensorsFile.Open(stream, "the stream").Dispose();
        Assert.IsFalse(stream.CanRead);
    }

    [TestMethod]
    public void A_missing_file_is_named_with_its_full_path()
    {
        FileNotFoundException error = Assert.ThrowsExactly<FileNotFoundException>(() => SafetensorsFile.Open("nobody.safetensors"));
        Assert.Contains($"'{Path.GetFullPath("nobody.safetensors")}' does not exist", error.Message);
    }

    [TestMethod]
    [DynamicData(nameof(Malformed))]
    public void Malformed_files_are_refused_by_the_name_of_the_fault(string header, int dataLength, string message)
    {
        byte[] bytes = [.. BitConverter.GetBytes((ulong)Encoding.UTF8.GetByteCount(header)), .. Encoding.UTF8.GetBytes(header), .. new byte[dataLength]];
        CheckRefused(bytes, message);
    }

    public static IEnumerable<(string Header, int DataLength, string Message)> Malformed =>
    [
        ("", 0, "does not begin with '{'"),
        ("[]", 0, "does not begin with '{'"),
        (" {}", 0, "does not begin with '{'"),
        ("{", 0, "is not valid JSON"),
        ("{}x", 0, "is not valid JSON"),
        ("{\"\\ud800\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "is not valid JSON"),
        (Two("[0,2]", "[2,4]").Replace("\"b\"", "\"a\"", StringComparison.Ordinal), 4, "names 'a' twice"),
        ("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "names '__metadata__' twice"),
        ("{\"__metadata__\":7}", 0, "'__metadata__' is 7, expected an object of texts"),
        ("{\"__metadata__\":{\"a\":7}}", 0, "'__metadata__' has 7 for 'a', expected a text"),
        ("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "'__metadata__' names 'a' twice"),
        ("{\"a\":7}", 0, "tensor 'a' is 7, expected an object with dtype, shape and data_offsets"),
        ("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "tensor 'a' has data_offsets (none)"),
        ("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "tensor 'a' has shape (none)"),
        ("{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor 'a' has dtype (none)"),
        ("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor 'a' has 'dtype' twice"),
        ("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"more\":1}}", 1, "tensor 'a' has a field 'more'"),
        (Entry("a", "F8_E4M3", "[1]", "[0,1]"), 1, "tensor 'a' has dtype F8_E4M3, which holds quantized weights and is not read; use the checkpoint with the original weights"),
        (Entry("a", "F8_E5M2", "[1]", "[0,1]"), 1, "tensor 'a' has dtype F8_E5M2, which holds quantized weights"),
        (Entry("a", "F4", "[2]", "[0,1]"), 1, "tensor 'a' has dtype F4, which holds quantized weights"),
        (Entry("a", "F6_E2M3", "[4]", "[0,3]"), 3, "tensor 'a' has dtype F6_E2M3, which holds quantized weights"),
        (Entry("a", "C64", "[1]", "[0,8]"), 8, "tensor 'a' has dtype \"C64\", expected one of I64, F64, F32"),
        (Entry("a", "f32", "[1]", "[0,4]"), 4, "tensor 'a' has dtype \"f32\""),
        (Entry("a", "U8", "[-1]", "[0,1]"), 1, "tensor 'a' has shape [-1]"),
        (Entry("a", "U8", "[1.5]", "[0,1]"), 1, "tensor 'a' has shape [1.5]"),
        (Entry("a", "U8", "[9223372036854775808]", "[0,1]"), 1, "tensor 'a' has shape [9223372036854775808]"),
        (Entry("a", "U8", "1", "[0,1]"), 1, "tensor 'a' has shape 1,"),
        (Entry("a", "U8", "[" + string.Join(",", Enumerable.Repeat("1", 65)) + "]", "[0,1]"), 1, "a list of at most 64 whole numbers"),
        (Entry("a", "F64", "[4611686018427387904,2]", "[0,8]"), 8, "more than any file can hold"),
        (Entry("a", "U8", "[4294967296,4294967296]", "[0,0]"), 0, "more than any file can hold"),
        (Entry("a", "U8", "[0,4294967296,4294967296]", "[0,0]"), 0, "more than any file can hold"),
        (Entry("a", "U8", "[9223372036854775807]", "[0,9223372036854775807]"), 1, "more than any file can hold"),
        (Entry("a", "U8", "[1]", "[0]"), 1, "tensor 'a' has data_offsets [0]"),
        (Entry("a", "U8", "[1]", "[-1,0]"), 1, "tensor 'a' has data_offsets [-1,0]"),
        (Entry("a", "U8", "[1]", "[1,0]"), 1, "tensor 'a' has data_offsets [1,0]"),
        (Entry("a", "F32", "[2]", "[0,4]"), 4, "hence 4 bytes, but its dtype F32 and shape [2] need 8"),
        (Entry("a", "U8", "[1]", "[1,2]"), 2, "tensor 'a' begins at data offset 1, expected 0: there is a gap before it"),
        (Two("[0,2]", "[3,5]"), 5, "tensor 'b' begins at data offset 3, expected 2: there is a gap before it"),
        (Two("[0,2]", "[1,3]"), 3, "tensor 'b' begins at data offset 1, expected 2: there is an overlap with the tensor before it"),
        (Two("[0,2]", "[0,2]"), 2, "there is an overlap with the tensor before it"),
        (Two("[0,2]", "[2,4]"), 5, "1 bytes are left over"),
        ("{}", 1, "1 bytes are left over"),
    ];

    [TestMethod]
    [DataRow(0, "the file has 0 bytes, which is too short for a safetensors header")]
    [DataRow(7, "the file has 7 bytes, which is too short for a safetensors header")]
    [DataRow(8, "the file ends at byte 8, but its header announces ")]
    [DataRow(100, "the file ends at byte 100, but its header announces ")]
    public void A_file_cut_off_in_its_header_is_refused_as_such(int length, string message) =>
        CheckRefused(File.ReadAllBytes(Path.Combine(ReferenceModels.Folder("vision_only"), "model.safetensors"))[..length], message);

    [TestMethod]
    public void A_file_cut_off_in_its_data_is_refused_with_both_lengths_and_what_to_do()
    {
        byte[] bytes = File.ReadAllBytes(Path.Combine(ReferenceModels.Folder("vision_only"), "model.safetensors"));
        CheckRefused(bytes[..^1], $"the file ends at byte {bytes.Length - 1}, but its header announces {bytes.Length}: it is cut off; fetch it again.");
    }

    [TestMethod]
    [DataRow(100_000_001UL)]
    [DataRow(ulong.MaxValue)]
    [DataRow(0x8000_0000_0000_0000UL)]
    public void A_header_above_the_limit_is_refused(ulong length)
    {
        byte[] bytes = new byte[64];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        CheckRefused(bytes, "at most 100,000,000 are allowed");
    }

    [TestMethod]
    public void A_short_file_that_announces_much_costs_little_memory()
    {
        byte[] bytes = new byte[64];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, 99_000_000);
        CheckRefused(bytes, "it is cut off");
        long before = GC.GetAllocatedBytesForCurrentThread();
        CheckRefused(bytes, "it is cut off");
        Assert.IsLessThan(1_000_000, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [TestMethod]
    public void No_damaged_header_leads_to_another_error()
    {
        const int seed = 11;
        var random = new Random(seed);
        byte[] whole = File.ReadAllBytes(Path.Combine(ReferenceModels.Folder("no_head"), "model.safetensors"));
        int headerEnd = 8 + (int)BinaryPrimitives.ReadUInt64LittleEndian(whole), refused = 0;
        byte[] tokens = Encoding.UTF8.GetBytes("{}[]\",:-0129eU\\ \0\xff");
        for (int i = 0; i < 3_000; i++)
        {
            byte[] bytes = [.. whole];
            for (int change = random.Next(1, 4); change > 0; change--)
                bytes[random.Next(headerEnd)] = random.Next(2) == 0 ? tokens[random.Next(tokens.Length)] : (byte)random.Next(256);
            try
            {
                using SafetensorsFile file = SafetensorsFile.Open(new MemoryStream(bytes), "the file");
                foreach (string name in file.Tensors.Keys)
                    file.Read(name).Dispose();
            }
            catch (InvalidDataException)
            {
                refused++;
            }
            catch (Exception e)
            {
                Assert.Fail($"seed {seed}, round {i}: {e}");
            }
        }

        Assert.IsGreaterThan(1_000, refused);
    }

    [TestMethod]
    public void A_stream_that_cannot_be_positioned_is_refused()
    {
        using var pipe = new System.IO.Pipelines.Pipe().Reader.AsStream();
        Assert.Contains("must be readable and seekable", Assert.ThrowsExactly<ArgumentException>(() => SafetensorsFile.Open(pipe, "the pipe")).Message);
    }

    private static void CheckRefused(byte[] bytes, string message)
    {
        InvalidDataException error = Assert.ThrowsExactly<InvalidDataException>(() => SafetensorsFile.Open(new MemoryStream(bytes), "the file"));
        Assert.StartsWith("the file: ", error.Message);
        Assert.Contains(message, error.Message);
    }

    private static string Entry(string name, string dtype, string shape, string offsets) =>
        $"{{\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}";

    private static string Two(string first, string second) =>
        $"{{\"a\":{{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":{first}}},\"b\":{{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":{second}}}}}";
}
