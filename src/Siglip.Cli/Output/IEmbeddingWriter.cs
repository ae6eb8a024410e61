namespace Siglip.Cli;

/// <summary>Writes embeddings row by row.</summary>
internal interface IEmbeddingWriter : IDisposable
{
    /// <summary>Writes the embedding of an image.</summary>
    void Write(string path, float[] values);
}
