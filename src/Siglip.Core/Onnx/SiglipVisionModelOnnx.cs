using Siglip.Core.Onnx;

namespace Siglip.Core;

/// <summary>Exports a <see cref="SiglipVisionModel"/> to ONNX.</summary>
public static class SiglipVisionModelOnnx
{
    extension(SiglipVisionModel model)
    {
        /// <summary>Writes the model as an ONNX file with the input <c>pixel_values</c> [batch, channels, height, width] and the outputs <c>last_hidden_state</c>
        /// [batch, patches, hidden] and, if it has a pooling head, <c>pooler_output</c> [batch, hidden]: float32, for any batch size.</summary>
        /// <param name="path">The .onnx file; an existing one is replaced. It appears when it is complete.</param>
        /// <param name="options">Precision, image size and where the weights go; null for the defaults.</param>
        /// <param name="cancellationToken">Ends the writing; nothing is left then.</param>
        /// <exception cref="ArgumentException">An option is out of range.</exception>
        /// <exception cref="InvalidOperationException">An embedder computes with this model in Int8.</exception>
        /// <exception cref="IOException">The file cannot be written.</exception>
        /// <remarks>The weights are written one by one, as float32 or int8 whatever the model computes in. The preprocessing of the checkpoint that the model was
        /// loaded from is in the file's metadata, under <c>preprocessor_config.json</c>.</remarks>
        public void ExportOnnx(string path, SiglipOnnxOptions? options = null, CancellationToken cancellationToken = default)
        {
            ArgumentNullException.ThrowIfNull(model);
            OnnxExport.Write(model, path, options, cancellationToken);
        }
    }
}
