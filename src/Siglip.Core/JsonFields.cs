using System.Text.Json;

namespace Siglip.Core;

/// <summary>Reads fields of a JSON object; a field that is absent or null has its default, a wrong type is an error that names it.</summary>
internal readonly struct JsonFields(JsonElement element, string source)
{
    /// <summary>Parses an object.</summary>
    /// <param name="json">Its text.</param>
    /// <param name="source">What messages call it.</param>
    /// <param name="duplicates">Whether a field may be there twice, as it may in Python, where the last one counts.</param>
    /// <exception cref="InvalidDataException">It is none.</exception>
    public static JsonDocument Parse(string json, string source, bool duplicates = true)
    {
        try
        {
            JsonDocument document = JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = duplicates });
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                CheckTexts(document.RootElement);
                return document;
            }

            document.Dispose();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new InvalidDataException($"{source} is not valid JSON: {Fault(e)} Fetch the file again, or correct it.", e);
        }

        throw new InvalidDataException($"{source} holds no JSON object; expected one with the fields of the configuration.");
    }

    /// <summary>What is wrong and where, counted from 1, as editors do.</summary>
    public static string Fault(Exception e) => e is JsonException { LineNumber: { } line, BytePositionInLine: { } position }
        ? $"{e.Message.Split(" LineNumber:")[0].TrimEnd('.')} (line {line + 1}, position {position + 1})."
        : e.Message;

    public JsonElement? Find(string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    public int Int32(string name, int absent) =>
        Find(name) is not { } value ? absent
        : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) ? number
        : throw Wrong(name, value, "a whole number");

    public double Double(string name, double absent) =>
        Find(name) is not { } value ? absent
        : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) ? number
        : throw Wrong(name, value, "a number");

    public bool Boolean(string name, bool absent) =>
        Find(name) is not { } value ? absent
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean()
        : throw Wrong(name, value, "true or false");

    public string? String(string name, string? absent) =>
        Find(name) is not { } value ? absent
        : value.ValueKind == JsonValueKind.String ? value.GetString()
        : throw Wrong(name, value, "a text");

    public float[] Singles(string name, float[] absent)
    {
        if (Find(name) is not { } value)
            return absent;
        if (value.ValueKind == JsonValueKind.Number)
            return [.. Enumerable.Repeat(value.GetSingle(), absent.Length)]; // transformers takes one number for all channels, too
        if (value.ValueKind != JsonValueKind.Array || value.EnumerateArray().Any(item => item.ValueKind != JsonValueKind.Number))
            throw Wrong(name, value, "a list of numbers");
        return [.. value.EnumerateArray().Select(item => item.GetSingle())];
    }

    // The parser lets escape sequences pass that are no Unicode characters; reading such a text fails with InvalidOperationException.
    private static void CheckTexts(JsonElement element)
    {
        if (element.ValueKind == JsonValueKind.String)
        {
            _ = element.GetString();
        }
        else if (element.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement item in element.EnumerateArray())
                CheckTexts(item);
        }
        else if (element.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty property in element.EnumerateObject())
            {
                _ = property.Name;
                CheckTexts(property.Value);
            }
        }
    }

    private InvalidDataException Wrong(string name, JsonElement value, string expected)
    {
        string found = value.GetRawText();
        return new InvalidDataException($"{source}: '{name}' is {(found.Length > 60 ? found[..60] + "…" : found)}, expected {expected}.");
    }
}
