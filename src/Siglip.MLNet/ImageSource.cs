using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>The images of the rows of a batch, one slot a row.</summary>
internal abstract class ImageSource
{
    /// <summary>Whether a slot's image may be decoded after other rows were read, and on another thread.</summary>
    public virtual bool CanDecodeLater => true;

    /// <summary>Takes the current row's value into a slot. Throws what the column's getter throws.</summary>
    public abstract void Read(int slot);

    /// <summary>The key of a slot's image.</summary>
    /// <exception cref="InvalidDataException">The slot holds no image.</exception>
    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    public abstract ImageKey KeyOf(int slot, EmbeddingSpace space);

    /// <summary>Opens a slot's image, once.</summary>
    /// <exception cref="InvalidDataException">The slot holds no image, or a damaged one.</exception>
    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    public abstract PixelRows Open(int slot);

    /// <summary>Frees what <see cref="KeyOf"/> kept for <see cref="Open"/>, which is not called.</summary>
    public virtual void Forget(int slot)
    {
    }

    /// <summary>The path of a slot's image; null if it is not known. Called right after the image could not be decoded.</summary>
    public virtual string? NameOf(int slot) => null;

    /// <summary>A source for the input column.</summary>
    /// <param name="getter">Gives the current row's value, of the column's raw type.</param>
    /// <param name="kind">The kind of the column.</param>
    /// <param name="imageFolder">Where relative paths start; null for the current folder.</param>
    /// <param name="reading">How encoded images are read.</param>
    public static ImageSource Create(Delegate getter, ImageColumnKind kind, string? imageFolder, ImageReading reading) => kind switch
    {
        ImageColumnKind.Path => new PathSource((ValueGetter<ReadOnlyMemory<char>>)getter, imageFolder, reading),
        ImageColumnKind.Bytes => new BytesSource((ValueGetter<VBuffer<byte>>)getter, reading),
        _ => new MLImageSource((ValueGetter<MLImage>)getter),
    };

    private sealed class PathSource(ValueGetter<ReadOnlyMemory<char>> getter, string? imageFolder, ImageReading reading) : ImageSource
    {
        private string[] _paths = [];
        private byte[]?[] _files = []; // those read for their keys and not decoded yet
        private ReadOnlyMemory<char> _path;

        public override void Read(int slot)
        {
            getter(ref _path);
            Slots.Ensure(ref _paths, slot);
            Slots.Ensure(ref _files, slot);
            (_paths[slot], _files[slot]) = (_path.ToString(), null);
        }

        public override ImageKey KeyOf(int slot, EmbeddingSpace space) => space.KeyOf(_files[slot] = RgbImage.ReadFile(PathOf(slot)));

        public override PixelRows Open(int slot)
        {
            string path = PathOf(slot);
            byte[] encoded = _files[slot] ?? RgbImage.ReadFile(path);
            _files[slot] = null;
            return ImageDecoder.Open(encoded, $"'{path}'", reading);
        }

        public override void Forget(int slot) => _files[slot] = null;

        private string PathOf(int slot)
        {
            if (string.IsNullOrWhiteSpace(_paths[slot]))
                throw new InvalidDataException("The path is empty.");
            return imageFolder is null ? _paths[slot] : Path.Combine(imageFolder, _paths[slot]);
        }

        public override string? NameOf(int slot) => string.IsNullOrWhiteSpace(_paths[slot]) ? null : _paths[slot];
    }

    private sealed class BytesSource(ValueGetter<VBuffer<byte>> getter, ImageReading reading) : ImageSource
    {
        private VBuffer<byte>[] _encoded = []; // each keeps its memory for the next batch

        public override void Read(int slot)
        {
            Slots.Ensure(ref _encoded, slot);
            getter(ref _encoded[slot]);
        }

        public override ImageKey KeyOf(int slot, EmbeddingSpace space) =>
            space.KeyOf(_encoded[slot].IsDense ? NonEmpty(slot).GetValues() : Bytes(slot));

        public override PixelRows Open(int slot) => ImageDecoder.Open(Bytes(slot), "the encoded image", reading);

        private byte[] Bytes(int slot) => NonEmpty(slot).DenseValues().ToArray();

        private VBuffer<byte> NonEmpty(int slot) =>
            _encoded[slot].Length > 0 ? _encoded[slot] : throw new InvalidDataException("There are no bytes.");
    }

    /// <summary>The getter's image is valid until the next call only, so it is decoded at once; and it is the getter's to dispose.</summary>
    private sealed class MLImageSource(ValueGetter<MLImage> getter) : ImageSource
    {
        private MLImage? _image;

        public override bool CanDecodeLater => false;

        public override void Read(int slot)
        {
            try
            {
                getter(ref _image!);
            }
            catch
            {
                _image = null; // ML.NET's loader has disposed it, and would do so again
                throw;
            }
        }

        public override ImageKey KeyOf(int slot, EmbeddingSpace space) => Use(space.KeyOf);

        public override PixelRows Open(int slot) => new ImageRows(Use(MLImagePixels.ToRgb));

        /// <summary>ML.NET's loader keeps the path in the tag.</summary>
        public override string? NameOf(int slot)
        {
            try
            {
                return string.IsNullOrEmpty(_image?.Tag) ? null : _image.Tag;
            }
            catch (InvalidOperationException) // a disposed image has none
            {
                return null;
            }
        }

        private T Use<T>(Func<MLImage, T> use)
        {
            MLImage image = _image ?? throw new InvalidDataException("The image is missing (null).");
            try
            {
                return use(image);
            }
            catch (InvalidOperationException exception) // as ML.NET says it
            {
                throw new InvalidDataException("The image has no pixels, as it is disposed. Dispose an image after its row is read.", exception);
            }
        }
    }
}
