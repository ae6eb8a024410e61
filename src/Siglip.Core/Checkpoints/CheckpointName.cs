namespace Siglip.Core;

/// <summary>What the name of a checkpoint stands for: <c>nano</c>, a folder, or a model of the Hugging Face hub.</summary>
internal static class CheckpointName
{
    /// <summary>The model of the hub that a name stands for.</summary>
    /// <param name="name">What the user calls the checkpoint.</param>
    /// <param name="revision">What is asked for beside the name; null for that in the name, or main.</param>
    /// <returns>Null for nano, for a folder or file that is there, and for what can be no model of the hub.</returns>
    /// <exception cref="ArgumentException">The revision cannot be one, or there are two.</exception>
    public static HubModel? FindOnHub(string name, string? revision = null) => IsLocal(name) ? null : HubModel.Find(name, revision);

    public static bool IsLocal(string name) => name == SiglipCheckpoint.Nano || Path.Exists(name);

    /// <summary>Fetches a model of the hub that may have been meant as a folder: if it is not found, the error says that there is no such folder either.</summary>
    /// <param name="name">What the user calls the checkpoint.</param>
    /// <param name="fetch">Fetches it.</param>
    public static T Fetch<T>(string name, Func<T> fetch)
    {
        string folder = Path.GetFullPath(name);
        string Message(Exception e) => $"{e.Message} There is no folder '{folder}' either.";
        try
        {
            return fetch();
        }
        catch (FileNotFoundException e)
        {
            throw new FileNotFoundException(Message(e), folder, e);
        }
        catch (IOException e) when (e.InnerException is HubUnreachableException)
        {
            throw new IOException(Message(e), e);
        }
    }
}
