using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>libtorch's matrix products of oneDNN, with weights laid out for them once, which TorchSharp does not offer.</summary>
/// <remarks>
/// They are operators of libtorch outside of <c>aten</c>, which only a saved TorchScript module can name: hence one in memory, without weights. An operator that does
/// not exist would end the process, so nothing is loaded where libtorch is built without oneDNN. Source: PyTorch, aten/src/ATen/native/mkldnn/RegisterMkldnnOpContextClass.cpp
/// and aten/src/ATen/native/quantized/library.cpp.
/// </remarks>
internal static class TorchOperators
{
    // 6: float32. An activation of 8 bits has neither scale nor zero point here: each row has its own.
    private const string Code = """
        class Operators(Module):
          __parameters__ = []
          __buffers__ = []
          def pack(self: __torch__.Operators, weight: Tensor) -> Tensor:
            return ops.mkldnn._reorder_linear_weight(weight)
          def unpack(self: __torch__.Operators, weight: Tensor) -> Tensor:
            return torch.to_dense(weight)
          def linear(self: __torch__.Operators, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return ops.mkldnn._linear_pointwise(x, weight, bias, "none", annotate(List[Optional[number]], []), None)
          def linear_gelu(self: __torch__.Operators, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return ops.mkldnn._linear_pointwise(x, weight, bias, "gelu", annotate(List[Optional[number]], []), "none")
          def linear_gelu_tanh(self: __torch__.Operators, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return ops.mkldnn._linear_pointwise(x, weight, bias, "gelu", annotate(List[Optional[number]], []), "tanh")
          def linear_add(self: __torch__.Operators, x: Tensor, weight: Tensor, bias: Tensor, other: Tensor) -> Tensor:
            return ops.mkldnn._linear_pointwise(x, other, weight, bias, "add")
          def pack_int8(self: __torch__.Operators, weight: Tensor) -> Tensor:
            return ops.onednn.qlinear_prepack(weight, None)
          def linear_int8(self: __torch__.Operators, x: Tensor, weight: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
            return ops.onednn.qlinear_pointwise(x, 1., 0, weight, scales, zeros, None, 1., 0, 6, "none", annotate(List[Optional[number]], []), "")
        """;

    private static readonly Lazy<bool> IsBFloat16Packable = new(TryBFloat16);

    private static readonly Lazy<jit.ScriptModule> Module = new(() => jit.load(ToArchive(Code), DeviceType.CPU));

    /// <summary>Whether libtorch has the operators, and this processor the instructions that they are fast with.</summary>
    public static bool AreAvailable => Avx2.IsSupported && RuntimeInformation.ProcessArchitecture == Architecture.X64
        && (OperatingSystem.IsLinux() || OperatingSystem.IsWindows());

    /// <summary>Whether weights of a type can be packed: those of 16 bits need instructions that not all processors have.</summary>
    public static bool ArePackable(ScalarType dtype) => AreAvailable && (dtype == ScalarType.Float32 || (dtype == ScalarType.BFloat16 && IsBFloat16Packable.Value));

    /// <summary>Calls one of the functions above.</summary>
    /// <returns>A tensor of the open dispose scope.</returns>
    public static Tensor Call(string function, params Tensor[] arguments) => Module.Value.invoke<Tensor>(function, [.. arguments]);

    private static bool TryBFloat16()
    {
        using DisposeScope scope = NewDisposeScope();
        try
        {
            Call("pack", ones([16, 16], bfloat16));
            return true;
        }
        catch (ExternalException)
        {
            return false; // the processor lacks AVX512-BW
        }
    }

    /// <summary>A TorchScript module without weights: a zip file with the code and a pickled object of the class.</summary>
    private static byte[] ToArchive(string code)
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            Add("data.pkl", [0x80, 2, .. "c__torch__\nOperators\n"u8, (byte)')', 0x81, .. "}b."u8]);
            Add("constants.pkl", [0x80, 2, .. ")."u8]);
            Add("code/__torch__.py", System.Text.Encoding.ASCII.GetBytes(code + "\n"));
            Add("version", "3\n"u8);

            void Add(string name, ReadOnlySpan<byte> content)
            {
                using Stream entry = zip.CreateEntry("operators/" + name, CompressionLevel.NoCompression).Open();
                entry.Write(content);
            }
        }

        return stream.ToArray();
    }
}
