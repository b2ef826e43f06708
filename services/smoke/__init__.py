"""The smoke run: the whole path once, from nothing, judged from outside by what topics and tables say."""
