using System.Globalization;
using System.Text;

namespace Siglip.Cli;

/// <summary>A row for each image, or for each of its patches: the path (and the patch), then the values, which read back to the same bits.</summary>
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
        _writer.WriteLine((_patches ? "path,patch," : "path,") + string.Join(',', Enumerable.Range(0, _hidden).Select(i => $"e{i}")));
    }

    public void Write(string path, float[] values)
    {
        for (int patch = 0; patch < values.Length / _hidden; patch++)
        {
            _writer.Write(Quote(path));
            if (_patches)
                _writer.Write(string.Create(CultureInfo.InvariantCulture, $",{patch}"));
            foreach (float value in values.AsSpan(patch * _hidden, _hidden))
            {
                _writer.Write(',');
                _writer.Write(value.ToString("R", CultureInfo.InvariantCulture));
            }

            _writer.WriteLine();
        }
    }

    public void Dispose() => _writer.Dispose();

    private static string Quote(string text) =>
        text.AsSpan().IndexOfAny(",\"\r\n") >= 0 ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text;
}
