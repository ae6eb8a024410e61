namespace Siglip.Cli;

/// <summary>Cancelled by the user, with a sentence of what there is all the same.</summary>
internal sealed class VerbCanceledException(string message) : OperationCanceledException(message);
