using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace Siglip.MLNet;

/// <summary>Keeps a column's values of the rows that a cursor has read ahead.</summary>
internal abstract class RowBuffer : IDisposable
{
    private static readonly MethodInfo CreateValuesMethod = Method(nameof(CreateValues));
    private static readonly MethodInfo CreateVectorsMethod = Method(nameof(CreateVectors));

    /// <summary>Gives the value read last, without copying it.</summary>
    public abstract Delegate LastRead { get; }

    /// <summary>A buffer for one column.</summary>
    /// <param name="input">The row, or cursor, that gives the values.</param>
    /// <param name="column">An active column of it.</param>
    /// <exception cref="NotSupportedException">The values own resources, and how to copy them is unknown.</exception>
    public static RowBuffer Create(DataViewRow input, DataViewSchema.Column column)
    {
        Type type = column.Type.RawType;
        if (type == typeof(MLImage))
            return new Images(input.GetGetter<MLImage>(column));
        if (typeof(IDisposable).IsAssignableFrom(type))
            throw new NotSupportedException($"Column '{column.Name}' has values of type {type}, which cannot be kept while a batch of images is "
                + "embedded. Remove the column before this step, or leave it out of the columns that are read after it.");
        bool isVector = type.IsGenericType && type.GetGenericTypeDefinition() == typeof(VBuffer<>);
        MethodInfo create = isVector
            ? CreateVectorsMethod.MakeGenericMethod(type.GetGenericArguments()[0])
            : CreateValuesMethod.MakeGenericMethod(type);
        return (RowBuffer)create.Invoke(null, BindingFlags.DoNotWrapExceptions, null, [input, column], null)!;
    }

    /// <summary>Takes the current row's value into a slot.</summary>
    public abstract void Read(int slot);

    /// <summary>A getter of kept values.</summary>
    /// <param name="slot">Gives the slot of the row that the consumer stands on.</param>
    public abstract Delegate CreateGetter(Func<int> slot);

    public virtual void Dispose()
    {
    }

    private static MethodInfo Method(string name) => typeof(RowBuffer).GetMethod(name, BindingFlags.NonPublic | BindingFlags.Static)!;

    private static Values<T> CreateValues<T>(DataViewRow input, DataViewSchema.Column column) =>
        new(input.GetGetter<T>(column));

    private static Vectors<T> CreateVectors<T>(DataViewRow input, DataViewSchema.Column column) =>
        new(input.GetGetter<VBuffer<T>>(column));

    /// <summary>Numbers, keys, times, and text, whose characters never change.</summary>
    private sealed class Values<T>(ValueGetter<T> getter) : RowBuffer
    {
        private T[] _values = [];
        private int _last;

        public override Delegate LastRead => (ValueGetter<T>)((ref T value) => value = _values[_last]);

        public override void Read(int slot)
        {
            Slots.Ensure(ref _values, slot);
            _last = slot;
            getter(ref _values[slot]);
        }

        public override Delegate CreateGetter(Func<int> slot) => (ValueGetter<T>)((ref T value) => value = _values[slot()]);
    }

    private sealed class Vectors<T>(ValueGetter<VBuffer<T>> getter) : RowBuffer
    {
        private VBuffer<T>[] _values = []; // the getter fills each one's own memory
        private int _last;

        public override Delegate LastRead => (ValueGetter<VBuffer<T>>)((ref VBuffer<T> value) => value = _values[_last]);

        public override void Read(int slot)
        {
            Slots.Ensure(ref _values, slot);
            _last = slot;
            getter(ref _values[slot]);
        }

        public override Delegate CreateGetter(Func<int> slot) =>
            (ValueGetter<VBuffer<T>>)((ref VBuffer<T> value) => _values[slot()].CopyTo(ref value));
    }

    /// <summary>Copies, because the input's images are valid until the next row only.</summary>
    private sealed class Images(ValueGetter<MLImage> getter) : RowBuffer
    {
        private MLImage?[] _images = [];
        private MLImage? _current; // the input disposes it when it gives the next one
        private int _last;

        public override Delegate LastRead => (ValueGetter<MLImage>)((ref MLImage value) => value = _images[_last]!);

        public override void Read(int slot)
        {
            Slots.Ensure(ref _images, slot);
            _last = slot;
            getter(ref _current!);
            _images[slot]?.Dispose();
            _images[slot] = _current is null ? null : MLImagePixels.Clone(_current);
        }

        /// <summary>Like ML.NET's own image loader: each call gives a new image and disposes the one that it gave before.</summary>
        public override Delegate CreateGetter(Func<int> slot) => (ValueGetter<MLImage>)((ref MLImage value) =>
        {
            MLImage? kept = _images[slot()];
            value?.Dispose();
            value = kept is null ? null! : MLImagePixels.Clone(kept);
        });

        public override void Dispose()
        {
            foreach (MLImage? image in _images)
                image?.Dispose();
            Array.Clear(_images);
            base.Dispose();
        }
    }
}
