using Siglip.Core;

namespace Siglip.Cli;

/// <summary>Writes embeddings image by image.</summary>
internal interface IEmbeddingWriter : IDisposable
{
    /// <summary>Writes the embedding of an image.</summary>
    void Write(string path, SiglipImageEmbedding embedding);
}
