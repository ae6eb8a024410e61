using System.Globalization;
using System.Text;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>A line for each image, or for each of its patches: the path (and the patch's number, row and column, from 0), then the values, which read back
/// to the same bits. An image that could not be read has one line, of NaN, without a patch.</summary>
internal sealed class EmbeddingCsvWriter : IEmbeddingWriter
{
    private readonly StreamWriter _writer;
    private readonly int _hidden;
    private readonly bool _patches;

    public EmbeddingCsvWriter(Stream stream, int[] rowShape)
    {
        _writer = new StreamWriter(stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), leaveOpen: true) { NewLine = "\n" };
        _patches = rowShape.Length == 2;
        _hidden = rowShape[^1];
        _writer.WriteLine((_patches ? "path,patch,row,column," : "path,") + string.Join(',', Enumerable.Range(0, _hidden).Select(i => $"e{i}")));
    }

    public void Write(string path, SiglipImageEmbedding embedding)
    {
        if (!_patches)
        {
            WriteRow(path, "", embedding.Values);
            return;
        }

        if (embedding.Error is not null)
        {
            WriteRow(path, ",,,", embedding.Values.AsSpan(0, _hidden)); // it has no patches
            return;
        }

        for (int patch = 0; patch < embedding.PatchGrid.Count; patch++)
        {
            (int row, int column) = Math.DivRem(patch, embedding.PatchGrid.Columns);
            WriteRow(path, string.Create(CultureInfo.InvariantCulture, $",{patch},{row},{column}"), embedding.Values.AsSpan(patch * _hidden, _hidden));
        }
    }

    private void WriteRow(string path, string patch, ReadOnlySpan<float> values)
    {
        _writer.Write(Quote(path));
        _writer.Write(patch);
        foreach (float value in values)
        {
            _writer.Write(',');
            _writer.Write(value.ToString("R", CultureInfo.InvariantCulture));
        }

        _writer.WriteLine();
    }

    public void Dispose() => _writer.Dispose();

    private static string Quote(string text) =>
        text.AsSpan().IndexOfAny(",\"\r\n") >= 0 ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text;
}
