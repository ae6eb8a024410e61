namespace Siglip.Core.Tests;

/// <summary>What a <see cref="PlayHub"/> was asked.</summary>
/// <param name="IsStorage">Whether the second host was asked, which keeps the large files.</param>
/// <param name="Method">GET or HEAD.</param>
/// <param name="Path">Without the query.</param>
/// <param name="From">The first byte that was asked for.</param>
/// <param name="Authorization">The header; null if there was none.</param>
internal sealed record PlayRequest(bool IsStorage, string Method, string Path, long From, string? Authorization)
{
    public string File => Path.Split('/')[^1];

    public override string ToString() => $"{Method} {File}{(From > 0 ? $" from {From}" : "")}{(IsStorage ? " (storage)" : "")}";
}
