namespace Siglip.Core;

/// <summary>The hub does not answer, or not now, or something else answers in its place.</summary>
/// <param name="reason">Who does not and why, without a full stop.</param>
/// <param name="inner">Where it comes from.</param>
internal sealed class HubUnreachableException(string reason, Exception? inner = null) : IOException($"{reason}.", inner)
{
    public string Reason => reason;
}
