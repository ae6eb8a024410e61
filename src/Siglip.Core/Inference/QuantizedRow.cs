namespace Siglip.Core;

/// <summary>How a row of 8 bits is to be read: x stands for scale · x + smallest.</summary>
internal readonly record struct QuantizedRow(float Scale, float Smallest);
