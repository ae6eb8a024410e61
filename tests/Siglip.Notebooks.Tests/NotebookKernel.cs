using System.Diagnostics.CodeAnalysis;

#pragma warning disable IDE1006 // These are .NET Interactive's names.
namespace Siglip.Notebooks.Tests;

/// <summary>What C# has in a notebook only: a script's members are its own. It keeps what is displayed and printed.</summary>
/// <remarks>Public, as a script cannot use it otherwise.</remarks>
public sealed class NotebookKernel : IDisposable
{
    private readonly List<NotebookOutput> _outputs = [];
    private readonly StringWriter _printed = new() { NewLine = "\n" };

    internal TextWriter Console => _printed;

    [SuppressMessage("Performance", "CA1822", Justification = "A script sees the members of an instance.")]
    public NotebookHtml HTML(string content) => new(content);

    public void display(NotebookHtml html)
    {
        ArgumentNullException.ThrowIfNull(html);
        TakePrinted();
        _outputs.Add(new NotebookOutput("text/html", html.Content));
    }

    public void Dispose() => _printed.Dispose();

    /// <summary>The outputs since the last call.</summary>
    internal NotebookOutput[] TakeOutputs()
    {
        TakePrinted();
        NotebookOutput[] outputs = [.. _outputs];
        _outputs.Clear();
        return outputs;
    }

    private void TakePrinted()
    {
        if (_printed.GetStringBuilder().Length > 0)
            _outputs.Add(new NotebookOutput(null, _printed.ToString()));
        _printed.GetStringBuilder().Clear();
    }
}
