using System.Globalization;
using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Data.IO;
using Microsoft.ML.Runtime;

namespace Siglip.MLNet.Internals;

/// <summary>The values that the keys of a label stand for, of whatever type: the annotation that ML.NET keeps them in.</summary>
internal abstract class LabelValues
{
    /// <summary>A vector of known size, a value for each class.</summary>
    public abstract VectorDataViewType Type { get; }

    /// <summary>The values as text, in the invariant culture.</summary>
    public abstract IReadOnlyList<string> Names { get; }

    public bool AreText => Type.ItemType is TextDataViewType;

    /// <summary>The values of a column of keys; null if it does not tell that of each key.</summary>
    public static LabelValues? Of(DataViewSchema.Column column)
    {
        if (column.Annotations.Schema.GetColumnOrNull(AnnotationUtils.Kinds.KeyValues) is not { Type: VectorDataViewType { IsKnownSize: true } type }
            || (ulong)type.Size != ((KeyDataViewType)column.Type).Count)
            return null;
        return (LabelValues)Method(nameof(Read)).MakeGenericMethod(type.ItemType.RawType).Invoke(null, BindingFlags.DoNotWrapExceptions, null, [column, type], null)!;
    }

    /// <summary>The classes' names: the values as text, or else numbers from 0.</summary>
    public static IReadOnlyList<string> NamesOf(LabelValues? values, int classes) =>
        values?.Names ?? [.. Enumerable.Range(0, classes).Select(label => label.ToString(CultureInfo.InvariantCulture))];

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <exception cref="FormatException">It is damaged.</exception>
    public static LabelValues Load(IHostEnvironment environment, Stream stream)
    {
        try
        {
            if (new BinarySaver(environment, new BinarySaver.Arguments()).TryLoadTypeAndValue(stream, out DataViewType type, out object value)
                && type is VectorDataViewType { IsKnownSize: true } vector)
                return (LabelValues)Method(nameof(Create)).MakeGenericMethod(vector.ItemType.RawType).Invoke(null, [vector, value])!;
        }
        catch (Exception exception) // whatever ML.NET's readers make of it
        {
            throw new FormatException("The saved SigLIP classifier is damaged: the values of its labels cannot be read.", exception);
        }

        throw new FormatException("The saved SigLIP classifier is damaged: the values of its labels are of an unknown type.");
    }

    /// <summary>Adds an annotation with the values.</summary>
    public abstract void AddTo(DataViewSchema.Annotations.Builder annotations, string kind);

    public abstract void Save(IHostEnvironment environment, Stream stream);

    private static MethodInfo Method(string name) => typeof(LabelValues).GetMethod(name, BindingFlags.NonPublic | BindingFlags.Static)!;

    private static Values<T> Read<T>(DataViewSchema.Column column, VectorDataViewType type)
    {
        VBuffer<T> values = default;
        column.Annotations.GetValue(AnnotationUtils.Kinds.KeyValues, ref values);
        return new Values<T>(type, values);
    }

    private static Values<T> Create<T>(VectorDataViewType type, VBuffer<T> values) =>
        values.Length == type.Size ? new Values<T>(type, values) : throw new FormatException($"There are {values.Length} values, expected {type.Size}.");

    private sealed class Values<T>(VectorDataViewType type, VBuffer<T> values) : LabelValues
    {
        public override VectorDataViewType Type => type;

        // Made when they are asked for, when it is checked that there are as many as classes: a few bytes of a damaged file may claim billions of empty values.
        public override IReadOnlyList<string> Names => [.. values.DenseValues().Select(value => string.Create(CultureInfo.InvariantCulture, $"{value}"))];

        public override void AddTo(DataViewSchema.Annotations.Builder annotations, string kind) =>
            annotations.Add(kind, type, (ref VBuffer<T> value) => values.CopyTo(ref value));

        public override void Save(IHostEnvironment environment, Stream stream)
        {
            VBuffer<T> copy = values;
            if (!new BinarySaver(environment, new BinarySaver.Arguments()).TryWriteTypeAndValue(stream, type, ref copy, out _))
                throw new NotSupportedException($"The label's values are of type {type.ItemType}, which ML.NET cannot save; map them to text before MapValueToKey.");
        }
    }
}
