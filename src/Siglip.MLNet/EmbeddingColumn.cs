using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>One of the featurizer's outputs.</summary>
internal sealed class EmbeddingColumn(string name, SiglipOutputKind kind, EmbeddingSizes sizes) : AddedColumn(name)
{
    public override DataViewType Type { get; } = kind switch
    {
        SiglipOutputKind.PatchEmbeddings => new VectorDataViewType(NumberDataViewType.Single, sizes.PatchCount, sizes.HiddenSize),
        SiglipOutputKind.PatchCount => NumberDataViewType.Single,
        SiglipOutputKind.PatchGrid => new VectorDataViewType(NumberDataViewType.Single, 2),
        _ => new VectorDataViewType(NumberDataViewType.Single, sizes.HiddenSize),
    };

    public override SiglipEmbeddingOutputs Embeddings => FeaturizedSchema.FlagOf(kind);

    public override string ValueName => "embedding";

    public override Delegate CreateGetter(ImageBatch images, Func<int> slot)
    {
        switch (kind)
        {
            case SiglipOutputKind.PatchCount:
                return (ValueGetter<float>)((ref float value) => value = images.GridOf(slot()) is { } grid ? grid.Count : float.NaN);
            case SiglipOutputKind.PatchGrid:
                return (ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) =>
                {
                    Fill(ref value, 2, images.GridOf(slot()) is { } grid ? [grid.Rows, grid.Columns] : []);
                });
            default:
                int length = ((VectorDataViewType)Type).Size;
                return (ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) => Fill(ref value, length, images.EmbeddingOf(slot(), Embeddings)));
        }
    }

    // No values stand for a missing image: NaN. Fewer values than the length are followed by zeros: there is no patch.
    private static void Fill(ref VBuffer<float> destination, int length, ReadOnlySpan<float> values)
    {
        VBufferEditor<float> editor = VBufferEditor.Create(ref destination, length);
        values.CopyTo(editor.Values);
        editor.Values[values.Length..].Fill(values.IsEmpty ? float.NaN : 0);
        destination = editor.Commit();
    }
}
