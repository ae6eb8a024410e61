namespace Siglip.Cli;

/// <summary>How much is said beside results, warnings and errors.</summary>
internal enum Verbosity
{
    /// <summary>Nothing.</summary>
    Quiet,

    /// <summary>How far the work is, and a summary at its end.</summary>
    Normal,

    /// <summary>That, and what is loaded from where, and what computes.</summary>
    Verbose,
}
