using System.Reflection;
using System.Runtime.ExceptionServices;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace Siglip.MLNet;

/// <summary>Keeps a column's values of the rows that a cursor has read ahead, and what its getter has thrown: only who asks for the value of
/// that row gets the exception, as without reading ahead.</summary>
internal abstract class RowBuffer : IDisposable
{
    private static readonly MethodInfo CreateValuesMethod = Method(nameof(CreateValues));
    private static readonly MethodInfo CreateVectorsMethod = Method(nameof(CreateVectors));

    private ExceptionDispatchInfo?[] _faults = [];
    private int _last;

    /// <summary>The slot that was read last.</summary>
    /// <exception cref="Exception">The getter failed there.</exception>
    protected int LastSlot => Good(_last);

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

    /// <summary>Takes the current row's value, or the failure of its getter, into a slot.</summary>
    public void Read(int slot)
    {
        Slots.Ensure(ref _faults, slot);
        (_last, _faults[slot]) = (slot, null);
        try
        {
            ReadValue(slot);
        }
        catch (Exception exception) // thrown by the getters below
        {
            _faults[slot] = ExceptionDispatchInfo.Capture(exception);
        }
    }

    /// <summary>A getter of kept values.</summary>
    /// <param name="slot">Gives the slot of the row that the consumer stands on.</param>
    public abstract Delegate CreateGetter(Func<int> slot);

    public virtual void Dispose()
    {
    }

    /// <summary>Takes the current row's value into a slot.</summary>
    protected abstract void ReadValue(int slot);

    /// <summary>The slot, if its value could be read.</summary>
    /// <exception cref="Exception">What the getter threw.</exception>
    protected int Good(int slot)
    {
        _faults[slot]?.Throw();
        return slot;
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

        public override Delegate LastRead => (ValueGetter<T>)((ref T value) => value = _values[LastSlot]);

        protected override void ReadValue(int slot)
        {
            Slots.Ensure(ref _values, slot);
            getter(ref _values[slot]);
        }

        public override Delegate CreateGetter(Func<int> slot) => (ValueGetter<T>)((ref T value) => value = _values[Good(slot())]);
    }

    private sealed class Vectors<T>(ValueGetter<VBuffer<T>> getter) : RowBuffer
    {
        private VBuffer<T>[] _values = []; // the getter fills each one's own memory

        public override Delegate LastRead => (ValueGetter<VBuffer<T>>)((ref VBuffer<T> value) => value = _values[LastSlot]);

        protected override void ReadValue(int slot)
        {
            Slots.Ensure(ref _values, slot);
            getter(ref _values[slot]);
        }

        public override Delegate CreateGetter(Func<int> slot) =>
            (ValueGetter<VBuffer<T>>)((ref VBuffer<T> value) => _values[Good(slot())].CopyTo(ref value));
    }

    /// <summary>Copies, because the input's images are valid until the next row only.</summary>
    private sealed class Images(ValueGetter<MLImage> getter) : RowBuffer
    {
        private MLImage?[] _images = [];
        private MLImage? _current; // the input disposes it when it gives the next one

        public override Delegate LastRead => (ValueGetter<MLImage>)((ref MLImage value) => value = _images[LastSlot]!);

        protected override void ReadValue(int slot)
        {
            Slots.Ensure(ref _images, slot);
            _images[slot]?.Dispose();
            _images[slot] = null;
            try
            {
                getter(ref _current!);
            }
            catch
            {
                _current = null; // the input has disposed it, and would do so again
                throw;
            }

            _images[slot] = _current is null ? null : MLImagePixels.Clone(_current);
        }

        /// <summary>Like ML.NET's own image loader: each call gives a new image and disposes the one that it gave before.</summary>
        public override Delegate CreateGetter(Func<int> slot) => (ValueGetter<MLImage>)((ref MLImage value) =>
        {
            MLImage? kept = _images[Good(slot())];
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
