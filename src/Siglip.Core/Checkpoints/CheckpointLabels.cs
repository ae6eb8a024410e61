using System.Globalization;
using System.Text.Json;

namespace Siglip.Core;

/// <summary>The classes' names in a <c>config.json</c>.</summary>
/// <remarks>transformers names the classes LABEL_0, LABEL_1, … where the file does not.</remarks>
internal static class CheckpointLabels
{
    public static string[] Read(string configJson, string source, SafetensorsEntry classifier)
    {
        using JsonDocument document = JsonFields.Parse(configJson, source);
        if (new JsonFields(document.RootElement, source).Find("id2label") is not { } map)
            return classifier.Length == 0 ? [] : [.. Enumerable.Range(0, (int)Math.Min(classifier.Shape[0], int.MaxValue)).Select(i => $"LABEL_{i}")];
        if (map.ValueKind != JsonValueKind.Object)
            throw new InvalidDataException($"{source}: 'id2label' is no object, expected one with the number and the name of each class.");

        JsonProperty[] properties = [.. map.EnumerateObject()];
        var labels = new string?[properties.Length];
        foreach (JsonProperty property in properties)
        {
            if (!int.TryParse(property.Name, NumberStyles.None, CultureInfo.InvariantCulture, out int index) || index >= labels.Length || labels[index] is not null
                || property.Value.ValueKind != JsonValueKind.String)
                throw new InvalidDataException($"{source}: 'id2label' has {property}, expected each number from 0 to "
                    + $"{labels.Length - 1} once, with the name of its class.");
            labels[index] = property.Value.GetString();
        }

        return labels!;
    }
}
