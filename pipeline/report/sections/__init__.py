"""The report's sections: a finding is one file, with its words on the page in a template beside it."""
