namespace Siglip.Core.Tests;

/// <summary>The parts of <see cref="ParityReport"/>, in its order.</summary>
internal enum ParityArea
{
    Models,
    VariableResolution,
    FullSize,
    HalfPrecision,
    Preprocessing,
    EndToEnd,
    Activations,
    Training,
    InitialValues,
}
