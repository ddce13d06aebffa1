"""What everything stands on: settings, errors, deadlines, metrics, threads. Knows neither Redis's data nor Zendesk."""
