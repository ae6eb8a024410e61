using System.CommandLine;

namespace Siglip.Cli;

/// <summary>Options that belong together, and so stand together in the help.</summary>
/// <param name="Heading">What they are for.</param>
/// <param name="Options">In the order of the help.</param>
internal sealed record OptionGroup(string Heading, IReadOnlyList<Option> Options);
