using System.Buffers.Binary;

namespace Siglip.Core;

/// <summary>The symbol versions that a 64-bit little-endian ELF image requires of other libraries.</summary>
/// <remarks>Layout: "Linux Standard Base, Symbol Versioning" (sections .gnu.version_r and .gnu.version).</remarks>
internal static class ElfVersions
{
    private const uint SectionVersionNeeds = 0x6FFFFFFE; // SHT_GNU_verneed
    private const uint SectionVersionSymbols = 0x6FFFFFFF; // SHT_GNU_versym
    private const int SectionHeaderSize = 64;
    private const int SymbolSize = 24;
    private const byte FlagWeak = 2; // VER_FLG_WEAK: a missing version is no error

    /// <summary>Marks one required version as weak, provided that <paramref name="onlySymbol"/> is the only symbol that asks for it.</summary>
    /// <returns>false, and the image unchanged, if it is no such image, does not require the version, or other symbols need it.</returns>
    public static bool TryMakeWeak(byte[] elf, ReadOnlySpan<byte> version, ReadOnlySpan<byte> onlySymbol)
    {
        if (elf.Length < SectionHeaderSize || !elf.AsSpan(0, 6).SequenceEqual((ReadOnlySpan<byte>)[0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1]))
            return false;

        try
        {
            if (FindSection(elf, SectionVersionNeeds) is not { } needs || FindSection(elf, SectionVersionSymbols) is not { } versions
                || FindRequirement(elf, needs, version) is not var (flagsAt, index))
                return false;

            int symbols = Linked(elf, versions);
            int names = Data(elf, Linked(elf, symbols));
            int count = Int32(elf, versions + 0x20) / sizeof(ushort);
            for (int i = 0; i < count; i++)
            {
                bool asks = (UInt16(elf, Data(elf, versions) + (2 * i)) & 0x7FFF) == index;
                if (asks && !IsText(elf, names + Int32(elf, Data(elf, symbols) + (SymbolSize * i)), onlySymbol))
                    return false;
            }

            elf[flagsAt] |= FlagWeak;
            return true;
        }
        catch (Exception e) when (e is ArgumentOutOfRangeException or IndexOutOfRangeException)
        {
            return false; // an offset points outside the image
        }
    }

    private static (int FlagsAt, int Index)? FindRequirement(byte[] elf, int needs, ReadOnlySpan<byte> version)
    {
        int names = Data(elf, Linked(elf, needs));
        for (int need = Data(elf, needs); ; need += Int32(elf, need + 12))
        {
            for (int entry = need + Int32(elf, need + 8); ; entry += Int32(elf, entry + 12))
            {
                if (IsText(elf, names + Int32(elf, entry + 8), version))
                    return (entry + 4, UInt16(elf, entry + 6));
                if (Int32(elf, entry + 12) <= 0)
                    break;
            }

            if (Int32(elf, need + 12) <= 0)
                return null;
        }
    }

    private static int? FindSection(byte[] elf, uint type)
    {
        for (int i = 0; i < UInt16(elf, 0x3C); i++)
        {
            if ((uint)Int32(elf, Header(elf, i) + 4) == type)
                return Header(elf, i);
        }

        return null;
    }

    private static int Header(byte[] elf, int section) => Int32(elf, 0x28) + (SectionHeaderSize * section);

    private static int Data(byte[] elf, int header) => Int32(elf, header + 0x18);

    private static int Linked(byte[] elf, int header) => Header(elf, Int32(elf, header + 0x28));

    private static int Int32(byte[] elf, int at) => BinaryPrimitives.ReadInt32LittleEndian(elf.AsSpan(at));

    private static int UInt16(byte[] elf, int at) => BinaryPrimitives.ReadUInt16LittleEndian(elf.AsSpan(at));

    private static bool IsText(byte[] elf, int at, ReadOnlySpan<byte> text) =>
        elf.AsSpan(at, text.Length).SequenceEqual(text) && elf[at + text.Length] == 0;
}
