namespace Siglip.MLNet;

/// <summary>Messages of exceptions as parts of longer ones.</summary>
internal static class Sentences
{
    /// <summary>The message, without the parameter's name and value that .NET appends, which say nothing outside of the method; with a full stop.</summary>
    public static string Of(Exception exception)
    {
        string message = exception is ArgumentException { ParamName: not null }
            ? exception.Message.Split(" (Parameter '")[0]
            : exception.Message;
        return message.EndsWith('.') ? message : message + ".";
    }
}
